// The table of capabilities.
#include "kernel-sim/core/capability.h"

#include <algorithm>
#include <utility>

#include "kernel-sim/core/check.h"
#include "kernel-sim/core/errors.h"

namespace parley {
namespace {

bool RangeIsValid(const Extent& extent) {
  return extent.length > 0 && extent.offset + extent.length > extent.offset;
}

bool Within(const ObjectRef& object, const Extent& inner, const Extent& outer) {
  if (!Includes(outer.rights, inner.rights)) return false;
  if (object.kind == ObjectKind::kRegion) {
    return inner.offset >= outer.offset &&
           inner.offset + inner.length <= outer.offset + outer.length;
  }
  return inner.ceiling <= outer.ceiling;
}

absl::Status NotPermitted(std::string_view why) { return MakeError(Error::kNotPermitted, why); }

}  // namespace

Capability& CapabilityTable::Add(CapabilityId id, ObjectRef object, ProcessId holder,
                                 const Extent& extent) {
  if (id == CapabilityId::kNone) id = CapabilityId{next_id_++};
  auto& record = by_id_[id];
  PARLEY_CHECK(record == nullptr);
  record = std::make_unique<Capability>();
  record->id = id;
  record->object = object;
  record->holder = holder;
  record->extent = extent;
  by_holder_[holder].insert(id);
  return *record;
}

const Capability& CapabilityTable::CreateRoot(ObjectRef object, ProcessId owner,
                                              const Extent& extent, CapabilityId id) {
  PARLEY_CHECK(!roots_.contains(object));
  Capability& root = Add(id, object, owner, extent);
  roots_[object] = &root;
  return root;
}

const Capability* CapabilityTable::Find(CapabilityId id) const {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.get();
}

const Capability* CapabilityTable::FindRoot(ObjectRef object) const {
  auto found = roots_.find(object);
  return found == roots_.end() ? nullptr : found->second;
}

absl::Status CapabilityTable::CheckGrant(CapabilityId from, ProcessId granter,
                                         const Extent& extent) const {
  const Capability* parent = Find(from);
  if (parent == nullptr) return MakeError(Error::kLeaseEnded, "the grant has been revoked");
  if (parent->holder != granter) return NotPermitted("the capability is another process's");
  if (!Includes(parent->extent.rights, Rights::kGrant)) {
    return NotPermitted("the capability does not include the right to grant");
  }
  if (parent->object.kind == ObjectKind::kRegion && !RangeIsValid(extent)) {
    return MakeError(Error::kInvalidArgument, "an empty range, or one past the end of addresses");
  }
  if (!Within(parent->object, extent, parent->extent)) {
    return NotPermitted("a grant cannot exceed what it is made from");
  }
  return absl::OkStatus();
}

absl::StatusOr<const Capability*> CapabilityTable::Grant(CapabilityId from, ProcessId granter,
                                                         ProcessId holder, const Extent& extent,
                                                         const Token& token, CapabilityId id) {
  if (absl::Status allowed = CheckGrant(from, granter, extent); !allowed.ok()) return allowed;
  PARLEY_CHECK(token != Token{} && !by_token_.contains(token));
  auto granted = granted_by_.find(granter);
  if (granted != granted_by_.end() && granted->second >= kMaxGrantsPerProcess) {
    return MakeError(Error::kQuotaExhausted, "the process has granted as much as it may");
  }
  Capability* parent = by_id_.find(from)->second.get();
  Extent narrowed = extent;
  if (parent->parent != nullptr) narrowed.badge = parent->extent.badge;  // S8
  Capability& capability = Add(id, parent->object, holder, narrowed);
  capability.parent = parent;
  capability.token = token;
  capability.granter = granter;
  capability.place = parent->children.size();
  ++granted_by_[granter];
  parent->children.push_back(&capability);
  by_token_[token] = &capability;
  return &capability;
}

absl::StatusOr<const Capability*> CapabilityTable::FindByToken(const Token& token,
                                                               ProcessId holder) const {
  auto found = by_token_.find(token);
  if (found == by_token_.end() || found->second->holder != holder) {
    return NotPermitted("the token names nothing that this process holds");
  }
  return found->second;
}

absl::StatusOr<const Capability*> CapabilityTable::FindRevocable(const Token& token,
                                                                 ProcessId by) const {
  auto found = by_token_.find(token);
  if (found == by_token_.end() ||
      (found->second->holder != by && found->second->parent->holder != by)) {
    return NotPermitted("the token names nothing that this process holds or granted");
  }
  return found->second;
}

void CapabilityTable::Detach(Capability& child) {
  auto& siblings = child.parent->children;
  siblings[child.place] = siblings.back();
  siblings[child.place]->place = child.place;
  siblings.pop_back();
}

std::vector<CapabilityId> CapabilityTable::Kill(CapabilityId id) {
  auto found = by_id_.find(id);
  if (found == by_id_.end()) return {};
  Capability* top = found->second.get();
  if (top->parent != nullptr) {
    Detach(*top);
  } else {
    roots_.erase(top->object);
  }
  std::vector<CapabilityId> killed = {id};
  for (size_t i = 0; i < killed.size(); ++i) {
    std::unique_ptr<Capability> record = std::move(by_id_.extract(killed[i]).mapped());
    for (const Capability* child : record->children) killed.push_back(child->id);
    if (record->token != Token{}) by_token_.erase(record->token);
    auto held = by_holder_.find(record->holder);
    held->second.erase(record->id);
    if (held->second.empty()) by_holder_.erase(held);
    if (record->parent == nullptr) continue;
    auto granted = granted_by_.find(record->granter);
    if (--granted->second == 0) granted_by_.erase(granted);
  }
  return killed;
}

std::vector<CapabilityId> CapabilityTable::HeldBy(ProcessId holder) const {
  auto held = by_holder_.find(holder);
  if (held == by_holder_.end()) return {};
  std::vector<CapabilityId> ids(held->second.begin(), held->second.end());
  std::sort(ids.begin(), ids.end());  // hash order must not reach anybody
  return ids;
}

std::vector<CapabilityId> CapabilityTable::KillHolder(ProcessId holder) {
  std::vector<CapabilityId> killed;
  for (CapabilityId id : HeldBy(holder)) {
    for (CapabilityId dead : Kill(id)) killed.push_back(dead);
  }
  return killed;
}

std::vector<CapabilityId> CapabilityTable::KillGrantsTo(ProcessId holder) {
  std::vector<CapabilityId> killed;
  for (CapabilityId id : HeldBy(holder)) {
    const Capability* capability = Find(id);
    if (capability == nullptr || capability->parent == nullptr) continue;
    for (CapabilityId dead : Kill(id)) killed.push_back(dead);
  }
  return killed;
}

std::vector<CapabilityId> CapabilityTable::KillObject(ObjectRef object) {
  auto root = roots_.find(object);
  return root == roots_.end() ? std::vector<CapabilityId>{} : Kill(root->second->id);
}

void CapabilityTable::CheckInvariants() const {
  size_t tokens = 0, roots = 0, children = 0, held = 0, granted = 0;
  for (const auto& [id, capability] : by_id_) {
    PARLEY_CHECK(capability->id == id && by_holder_.at(capability->holder).contains(id));
    children += capability->children.size();
    if (capability->parent == nullptr) {
      ++roots;
      PARLEY_CHECK(roots_.at(capability->object) == capability.get());
    } else {
      const Capability& parent = *capability->parent;
      PARLEY_CHECK(Find(parent.id) == &parent && parent.object == capability->object);  // 1
      PARLEY_CHECK(Within(parent.object, capability->extent, parent.extent));           // 1
      PARLEY_CHECK(capability->place < parent.children.size() &&
                   parent.children[capability->place] == capability.get());
      PARLEY_CHECK(granted_by_.at(parent.holder) > 0 && capability->granter == parent.holder);  // 4
      PARLEY_CHECK(by_token_.at(capability->token) == capability.get());                        // 2
      ++tokens;
    }
  }
  for (const auto& [holder, ids] : by_holder_) held += ids.size();
  for (const auto& [granter, count] : granted_by_) {
    PARLEY_CHECK(count > 0 && count <= kMaxGrantsPerProcess);  // 4
    granted += count;
  }
  PARLEY_CHECK(granted == tokens);                                     // 4
  PARLEY_CHECK(tokens == by_token_.size() && roots == roots_.size());  // 3
  PARLEY_CHECK(children == tokens && held == by_id_.size());           // 3
}

}  // namespace parley
