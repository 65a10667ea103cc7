// Kernel calls: child processes.
#include <algorithm>

#include "kernel-sim/host/process.h"
#include "kernel-sim/host/spawn.h"

namespace parley::host {

absl::StatusOr<ChildHandle> Process::ProcessSpawn(std::string_view program,
                                                  const ProcessOptions& options) {
  PARLEY_ENTER();
  ProcessOptions within = options;
  within.ceiling = std::min(options.ceiling, ceiling_);
  auto spawn = MakeSpawn(program, within);
  if (!spawn.ok()) return spawn.status();
  {
    Locked locked(lock_);
    ++spawning_;
  }
  auto answer = Ask(*std::move(spawn));
  Locked locked(lock_);
  --spawning_;
  if (!answer.ok()) return answer.status();
  const auto spawned = answer->As<Spawned>();
  PARLEY_CHECK(spawned.has_value());
  // It may have ended before this line: then its record is there already.
  auto& record = children_[spawned->process];
  if (record == nullptr) record = std::make_unique<ChildRecord>();
  record->id = spawned->process;
  if (child_handles_.full()) return Refuse(Error::kQuotaExhausted);
  return child_handles_.Add(record.get());
}

absl::StatusOr<ExitStatus> Process::ProcessWait(ChildHandle handle, int64_t deadline_ns) {
  PARLEY_ENTER();
  absl::Status ended;
  {
    Locked locked(lock_);
    HostThread& waiter = current();
    ChildRecord* child = child_handles_.Find(handle);
    if (child == nullptr) return Refuse(Error::kBadHandle);
    if (!child->ended) {
      child->waiters.push_back(&waiter);
      ended = Block(waiter, ThreadState::kJoin, Raw(child->id), deadline_ns);
      child = child_handles_.Find(handle);  // somebody else may have closed it
      if (child == nullptr) return Refuse(Error::kBadHandle);
      std::erase(child->waiters, &waiter);
    }
    if (ended.ok()) return child->exit;
  }
  return Leave(std::move(ended));
}

absl::Status Process::ProcessKill(ChildHandle handle) {
  PARLEY_ENTER();
  auto id = ProcessIdOf(handle);
  if (!id.ok()) return id.status();
  {
    Locked locked(lock_);
    if (children_.at(*id)->ended) return absl::OkStatus();
  }
  return Ask(Kill{*id}).status();
}

absl::StatusOr<ProcessId> Process::ProcessIdOf(ChildHandle handle) {
  PARLEY_ENTER();
  Locked locked(lock_);
  ChildRecord* child = child_handles_.Find(handle);
  if (child == nullptr) return Refuse(Error::kBadHandle);
  return child->id;
}

void Process::ProcessClose(ChildHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  ChildRecord* child = child_handles_.Remove(handle);
  if (child == nullptr) return;
  child->open = false;
  for (HostThread* waiter : std::exchange(child->waiters, {})) {
    Grant(*waiter, Refuse(Error::kBadHandle));
  }
  if (child->ended) children_.erase(child->id);
}

// The maker is told after the child's exit, and after a restart of the broker perhaps once more.
void Process::OnChildEnded(const Packet& packet) {
  const auto ended = packet.As<ChildEnded>();
  if (!ended) return;
  if (spawning_ == 0 && !children_.contains(ended->process)) return;
  auto& record = children_[ended->process];
  if (record == nullptr) record = std::make_unique<ChildRecord>();
  ChildRecord& child = *record;
  child.id = ended->process;
  child.ended = true;
  child.exit = {static_cast<ExitKind>(std::min<uint32_t>(
                    ended->kind, static_cast<uint32_t>(ExitKind::kStackOverflow))),
                ended->code, std::string(packet.Tail<ChildEnded>())};
  for (HostThread* waiter : child.waiters) Grant(*waiter, absl::OkStatus());
  if (!child.open) children_.erase(ended->process);
}

}  // namespace parley::host
