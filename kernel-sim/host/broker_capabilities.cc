// Capabilities: tokens, and everything that ends with a capability (R3, R7).
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"

namespace parley::host {

Token Broker::DrawToken() {
  Token token;
  do {
    token = {outlet_.Random(), outlet_.Random()};
  } while (token == Token{});
  return token;
}

Broker::Answer Broker::Grant(CapabilityId from, const ProcessRecord& granter, ProcessId holder,
                             const Extent& extent) {
  auto share = record_quota_.Take(granter.uid, 1);
  if (!share.ok()) return share.status();
  auto granted = capabilities_.Grant(from, granter.id, holder, extent, DrawToken());
  if (!granted.ok()) return granted.status();
  Dependents& dependents = dependents_[(*granted)->id];
  dependents.share = *std::move(share);
  Enter(**granted, granter, dependents);
  return Packet::Of(0, TokenMade{(*granted)->token});
}

Broker::Answer Broker::OnDelegate(ProcessRecord& granter, const Delegate& call) {
  auto held = capabilities_.FindByToken(call.token, granter.id);
  if (!held.ok()) return held.status();
  if (FindProcess(call.holder) == nullptr) {
    return MakeError(Error::kNoSuchName, "the holder is no living process");
  }
  // As OnGrantRegion: what may be written may be read, and who is lent it reads it.
  if ((*held)->object.kind == ObjectKind::kRegion && !Includes(call.rights, Rights::kRead)) {
    return MakeError(Error::kInvalidArgument, "rights over a region are read, and write and grant");
  }
  Extent extent = (*held)->extent;
  extent.rights = call.rights;
  return Grant((*held)->id, granter, call.holder, extent);
}

Broker::Answer Broker::OnRevoke(ProcessRecord& by, const Revoke& call) {
  auto capability = capabilities_.FindRevocable(call.token, by.id);
  if (!capability.ok()) return capability.status();
  EndCapabilities(capabilities_.Kill((*capability)->id));
  return Packet::Of(0, Done{});
}

// What rests on them ends with them. Every word is 0 before anybody is told.
void Broker::EndCapabilities(const std::vector<CapabilityId>& killed) {
  std::vector<std::pair<CapabilityId, Dependents>> ended;
  for (CapabilityId id : killed) {
    auto node = dependents_.extract(id);
    if (node.empty()) continue;
    Dependents& dependents = ended.emplace_back(id, std::move(node.mapped())).second;
    for (const GrantWord& word : dependents.grant_words) ClearWord(*dependents.holder, word.word);
  }
  LentBefore lent_before;
  for (const auto& [id, dependents] : ended) {
    if (!dependents.grant_words.empty()) Notify(*dependents.holder, GrantEnded{id});
    EndLends(id, dependents.lends, lent_before);
  }
  TellLendsEnded(lent_before);
  for (const auto& [id, dependents] : ended) {
    for (uint32_t number : dependents.connections)
      CutConnection(*connections_.at(number), /*revoked=*/true);
    if (dependents.event != 0) ForgetEvent(dependents.event);
  }
}

// -- Words of a grant page

absl::StatusOr<uint32_t> Broker::TakeWord(ProcessRecord& process, uint64_t value) {
  uint32_t word = process.words_used;
  if (!process.free_words.empty()) {
    word = process.free_words.back();
    process.free_words.pop_back();
  } else if (process.words_used < kGrantWords) {
    ++process.words_used;
  } else {
    return MakeError(Error::kQuotaExhausted,
                     "a process has no room for another region or event that it opens");
  }
  // Release: whoever hears of the word by the answer sees it set.
  process.grants.As<GrantPage>()->words[word].store(value, std::memory_order_release);
  return word;
}

void Broker::ClearWord(ProcessRecord& process, uint32_t word) {
  process.grants.As<GrantPage>()->words[word].store(0);
  process.free_words.push_back(word);
}

}  // namespace parley::host
