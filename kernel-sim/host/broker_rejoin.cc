// After a restart: launchers and processes of the last broker come back.
//
//   (1) a launcher says which processes it has (BecomeLauncher, Adopt): those that run, with their
//       tickets, and those whose end the last broker has not confirmed
//   (2) a process shows its ledger (Rejoin), and claims what it knows of (Claims); one that had not
//       been welcomed joins as ever, and waits
//   (3) once all have come, or kPatienceNs have passed, what ledgers and claims agree on is there
//       again (broker_restore.cc), and everybody is answered
// Until (3) nobody else is welcomed. What a process claims gives it nothing: it only takes away
// what its ledger says and it does not know, since the last broker's word of it was lost.
#include "kernel-sim/host/broker_rejoin.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {
namespace {

using Stage = ProcessRecord::Stage;

// Of the broker's own waiting: time in which the machine, or it, stood still is nobody's fault.
constexpr int64_t kPatienceNs = 2'000'000'000;
// Where other launchers come too, nobody knows how many.
constexpr int64_t kLaunchersComeNs = 1'000'000'000;

constexpr size_t kMostClaims = 8 * kLedgerEntries;  // of one process

size_t DescriptorsOf(const Claim& claim) {
  switch (claim.of) {
    case ClaimOf::kBell:
      return 2;
    case ClaimOf::kRegion:
      return claim.renewed != 0 ? 2 : 1;
    case ClaimOf::kServedEvent:
      return 1;
    default:
      return 0;
  }
}

}  // namespace

// -- (1) Launchers

bool Broker::OnAdopt(PeerRecord& launcher, const Packet& packet) {
  const std::optional<Adopt> adopt = packet.As<Adopt>();
  if (!adopt || launcher.set->adopts == 0) return false;
  --launcher.set->adopts;
  const absl::Status adopted = AdoptProcess(launcher, *adopt, SplitTail(packet.Tail<Adopt>()));
  Conclude(launcher, packet.header()->call,
           adopted.ok() ? Answer(Packet::Of(0, Done{})) : Answer(adopted));
  if (launcher.set->adopts == 0) TakeEarly(early_joins_);
  RestoreIfComplete();
  return true;
}

// Nothing that the launcher could not have spawned.
absl::Status Broker::AdoptProcess(PeerRecord& launcher, const Adopt& adopt,
                                  const std::vector<std::string>& strings) {
  const Launch& launch = adopt.launch;
  if (!restoring_) return MakeError(Error::kNotPermitted, "all have rejoined");
  if (launch.process == ProcessId::kNone || processes_.contains(launch.process) ||
      launch.ticket == 0 || tickets_.contains(launch.ticket)) {
    return MakeError(Error::kAlreadyExists, "another process has this number or ticket");
  }
  auto made = MakeProcess(launcher, launch.spawn, strings, &launch);
  if (!made.ok()) return made.status();
  (*made)->maker = launch.maker;
  (*made)->adopted_pid = adopt.pid;
  adopted_calls_[{launcher.set.get(), launch.maker, launch.call}] = launch.process;
  if (adopt.pid == 0) EndProcess(**made);
  return absl::OkStatus();
}

// What was said too early, once more.
void Broker::TakeEarly(EarlyPackets& early) {
  for (auto& [peer, bytes] : std::exchange(early, {})) {
    if (auto known = peers_.find(peer); known != peers_.end()) known->second->is_early = false;
    Packet packet;
    packet.bytes = std::move(bytes);
    OnPacket(peer, packet);
  }
}

// -- (2) Processes

bool Broker::OnRejoin(PeerRecord& peer, const Packet& packet) {
  const std::optional<Rejoin> rejoin = packet.As<Rejoin>();
  if (!rejoin) return false;
  const absl::Status shown = ReadLedger(peer, *rejoin, packet);
  if (!shown.ok()) Conclude(peer, packet.header()->call, shown);
  return shown.ok();
}

absl::Status Broker::ReadLedger(PeerRecord& peer, const Rejoin& rejoin, const Packet& packet) {
  if (!restoring_) {
    EndLate(peer.far.pid, rejoin.process);
    return MakeError(Error::kNotPermitted, "all have rejoined; this is too late");
  }
  if (rejoin.version != kWireVersion || packet.fds.size() != 3) {
    return MakeError(Error::kInvalidArgument, "no process of this version");
  }
  const UniqueFd &page = packet.fds[0], &grants = packet.fds[1], &memory = packet.fds[2];
  auto ledger = Ledger::Open(memory, page, grants, life_.key);
  if (!ledger.ok()) return ledger.status();
  const LedgerHead& head = (*ledger)->head();
  if (head.process != rejoin.process || head.pid != peer.far.pid || head.uid != peer.far.uid ||
      head.gid != peer.far.gid) {
    return MakeError(Error::kNotPermitted, "another process's ledger");
  }
  auto mapped_page = MapShared(page, sizeof(ProcessPage), /*writable=*/false);
  if (!mapped_page.ok()) return mapped_page.status();
  auto writable = ReopenForWriting(grants);
  if (!writable.ok()) return writable.status();
  auto mapped_grants = MapShared(*writable, sizeof(GrantPage), /*writable=*/true);
  if (!mapped_grants.ok()) return mapped_grants.status();
  peer.rejoining = std::make_shared<Rejoining>();
  peer.rejoining->ledger = *std::move(ledger);
  peer.rejoining->page = *std::move(mapped_page);
  peer.rejoining->grants = *std::move(mapped_grants);
  return absl::OkStatus();
}

// What it had has ended. So does it, since others may wait for it to join. REQUIRES: `pid` is
// Linux's word.
void Broker::EndLate(uint32_t pid, ProcessId id) {
  ProcessRecord* process = FindProcess(id);
  if (process == nullptr || process->stage != Stage::kLaunched) return;
  if (process->adopted_pid != pid) return;
  EndProcess(*process);
  outlet_.Send(process->set->launcher, Packet::Of(0, Kill{id}));
}

bool Broker::OnClaims(PeerRecord& peer, const Packet& packet) {
  const std::optional<Claims> claims = packet.As<Claims>();
  if (!claims || peer.rejoining == nullptr || peer.rejoining->call != 0) return false;
  const std::string_view tail = packet.Tail<Claims>();
  if (tail.size() % sizeof(Claim) != 0) return false;
  Rejoining& rejoining = *peer.rejoining;
  rejoining.claimed += tail.size() / sizeof(Claim);
  if (rejoining.claimed > kMostClaims) return false;
  size_t next = 0;
  for (size_t at = 0; at < tail.size(); at += sizeof(Claim)) {
    Claim claim;
    std::memcpy(&claim, tail.data() + at, sizeof(claim));
    const size_t count = DescriptorsOf(claim);
    if (count > packet.fds.size() - next) return false;
    auto share = descriptors_.Take(peer.far.uid, count);
    auto first = count > 0 ? Duplicate(packet.fds[next]) : UniqueFd();
    auto second = count > 1 ? Duplicate(packet.fds[next + 1]) : UniqueFd();
    next += count;
    if (!share.ok() || !first.ok() || !second.ok()) continue;  // as if it had not been claimed
    rejoining.descriptor_count += count;
    if (count > 0) rejoining.descriptors.push_back(*std::move(share));
    TakeClaim(rejoining, claim, *std::move(first), *std::move(second));
  }
  if (claims->last == 0) return true;
  if (packet.header()->call == 0) return false;
  rejoining.call = packet.header()->call;
  rejoined_[rejoining.ledger->head().process] = &peer;
  RestoreIfComplete();
  return true;
}

void Broker::TakeClaim(Rejoining& by, const Claim& claim, UniqueFd first, UniqueFd second) {
  switch (claim.of) {
    case ClaimOf::kChannel:
      by.channels.insert(claim.number);
      break;
    case ClaimOf::kBell:
      by.bells[claim.number] = {std::move(first), std::move(second)};
      break;
    case ClaimOf::kLink:
      by.links.insert({claim.number, claim.first_bit});
      break;
    case ClaimOf::kServedLink:
      by.served_links.insert({claim.number, claim.first_bit});
      break;
    case ClaimOf::kServedEvent:
      by.served_events[{claim.number, claim.first_bit}] = std::move(first);
      break;
    case ClaimOf::kRegion:
      by.regions[claim.number] = {std::move(first), std::move(second)};
      break;
    case ClaimOf::kGrant:
      by.grants_held.insert(claim.number);
      break;
    case ClaimOf::kServedLend:
      by.served_lends.insert({claim.number, claim.lend});
      break;
  }
}

// -- (3) All have come, or have been waited for

// The peer that has rejoined as this process; null: none has, or has to.
PeerRecord* Broker::FindRejoined(const ProcessRecord& process) const {
  if (process.stage != Stage::kLaunched || process.adopted_pid == 0) return nullptr;
  auto found = rejoined_.find(process.id);
  const bool is_it = found != rejoined_.end() && found->second->far.pid == process.adopted_pid;
  return is_it ? found->second : nullptr;
}

bool Broker::AllHaveCome() const {
  if (owner_.pid != 0 && owner_set_ == nullptr && !owner_gone_) return false;
  if (owner_.serves_all && waited_ns_ < kLaunchersComeNs) return false;
  for (const auto& [id, peer] : peers_) {
    if (peer->set != nullptr && peer->set->adopts > 0) return false;
  }
  return std::all_of(processes_.begin(), processes_.end(), [&](const auto& known) {
    const ProcessRecord& process = *known.second;
    return process.stage != Stage::kLaunched || process.adopted_pid == 0 ||
           FindRejoined(process) != nullptr;
  });
}

void Broker::RestoreIfComplete() {
  if (restoring_ && AllHaveCome()) Restore();
}

std::string Broker::WhoHasNotCome() const {
  std::vector<std::string> names;
  for (const auto& [id, process] : processes_) {
    const bool awaited = process->stage == Stage::kLaunched && process->adopted_pid != 0;
    if (!awaited || FindRejoined(*process) != nullptr) continue;
    names.push_back(absl::StrCat(process->name, " (pid ", process->adopted_pid, ")"));
  }
  return names.empty() ? "their launcher" : absl::StrJoin(names, ", ");
}

void Broker::OnTick(int64_t waited_ns) {
  waited_ns_ = waited_ns;
  RestoreIfComplete();
  if (!restoring_ || waited_ns < kPatienceNs) return;
  outlet_.Warn(
      absl::StrCat("not back since the broker's restart, and counted as ended: ", WhoHasNotCome()));
  Restore();
}

}  // namespace parley::host
