// Processes: how they are launched, join, and end; and their launchers.
//
// The life of one, numbered as the comments have it:
//   (1) its maker asks for it (Spawn): it has an id, and its ticket goes to the launcher of its set
//       (Launch); once that has forked it (Launched) the maker is answered, so that none is
//       promised that a dying broker could forget
//   (2) it joins with the ticket; it may have to wait until its set's name server has
//   (3) it is welcomed: pages, name service
//   (4) its socket hangs up, or its pidfd says that it has died: all it holds ends at once
//   (5) the launcher reports its exit status, which goes to its maker; the record goes
// (4) and (5) come in either order.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"
#include "kernel-sim/host/spawn.h"

namespace parley::host {
namespace {

using Stage = ProcessRecord::Stage;

constexpr size_t kMaxPrograms = 1024;  // of one launcher

absl::Status CheckVersion(uint32_t version) {
  if (version == kWireVersion) return absl::OkStatus();
  return MakeError(Error::kInvalidArgument,
                   absl::StrCat("version ", version, " of the protocol; the broker speaks version ",
                                kWireVersion));
}

absl::Status CheckPrograms(const std::vector<std::string>& programs) {
  if (programs.size() > kMaxPrograms) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("a launcher has at most ", kMaxPrograms, " programs"));
  }
  for (const std::string& program : programs) {
    if (program.empty() || program.size() > kMaxNameBytes) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("a program's name is of 1 to ", kMaxNameBytes, " bytes"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWireScheduling(const WireScheduling& wire, int ceiling) {
  if (wire.policy > static_cast<uint32_t>(Policy::kSporadic)) {
    return MakeError(Error::kInvalidArgument, "no such scheduling policy");
  }
  return CheckScheduling(FromWire(wire), ceiling);
}

}  // namespace

ProcessRecord* Broker::FindProcess(ProcessId id) {
  auto found = processes_.find(id);
  return found == processes_.end() || !found->second->alive() ? nullptr : found->second.get();
}

// -- Launchers

bool Broker::OnBecomeLauncher(PeerRecord& peer, const Packet& packet) {
  const std::optional<BecomeLauncher> call = packet.As<BecomeLauncher>();
  if (!call) return false;
  const uint32_t number = packet.header()->call;
  if (absl::Status version = CheckVersion(call->version); !version.ok()) {
    Conclude(peer, number, version);
    return false;
  }
  std::vector<std::string> programs = SplitTail(packet.Tail<BecomeLauncher>());
  if (absl::Status valid = CheckPrograms(programs); !valid.ok()) {
    Conclude(peer, number, valid);
    return false;
  }
  auto share = launcher_quota_.Take(peer.far.uid, 1);
  if (!share.ok()) {
    Conclude(peer, number, share.status());
    return false;
  }
  peer.stranger = {};
  peer.set = std::make_unique<ProgramSet>();
  peer.set->share = *std::move(share);
  peer.set->launcher = peer.id;
  peer.set->uid = peer.far.uid;
  peer.set->gid = peer.far.gid;
  peer.set->programs = std::move(programs);
  peer.set->adopts = restoring_ ? call->adopts : 0;
  if (owner_.pid != 0 && peer.far.pid == owner_.pid && owner_set_ == nullptr && !owner_gone_) {
    owner_set_ = peer.set.get();
  }
  ++launchers_;
  Conclude(peer, number, Packet::Of(0, Done{}));
  RestoreIfComplete();
  return true;
}

// The launcher is gone: nobody could start, reap or report its processes any more.
void Broker::EndSet(ProgramSet& set) {
  const bool owner = &set == owner_set_;
  if (owner) {
    owner_set_ = nullptr;
    owner_gone_ = true;
  }
  set.name_server = ProcessId::kNone;  // nobody of its own is welcomed on the way
  set.name_channel = ChannelId::kNone;
  const std::vector<ProcessId> ids(set.processes.begin(), set.processes.end());
  for (ProcessId id : ids) {
    ProcessRecord& process = *processes_.at(id);
    if (PeerRecord* peer = process.peer) DropPeer(*peer);
    if (process.alive()) EndProcess(process);
    if (process.pidfd.valid()) outlet_.Kill(process.last_peer, process.pidfd);
    EraseProcess(process);
  }
  if (owner) WelcomeWaiting();
}

// -- (1) Spawn

bool Broker::OnSpawn(const PeerRecord& maker, const Packet& packet) {
  const std::optional<Spawn> spawn = packet.As<Spawn>();
  if (!spawn) return false;
  const std::vector<std::string> strings = SplitTail(packet.Tail<Spawn>());
  const uint32_t call = packet.header()->call;
  const ProgramSet* set = maker.set != nullptr ? maker.set.get() : maker.process->set;
  const ProcessId by = maker.process != nullptr ? maker.process->id : ProcessId::kNone;
  auto before = adopted_calls_.find({set, by, call});
  if (before != adopted_calls_.end()) {
    Conclude(maker, call, Packet::Of(0, Spawned{before->second}));
    adopted_calls_.erase(before);
    return true;
  }
  auto made = MakeProcess(maker, *spawn, strings);
  if (!made.ok()) {
    Conclude(maker, call, made.status());
    return true;
  }
  ProcessRecord& process = **made;
  Launch launch = {process.ticket, process.id, process.maker, call, *spawn};
  launch.spawn.has_uid = launch.spawn.has_gid = 1;
  launch.spawn.uid = process.uid;
  launch.spawn.gid = process.gid;
  launch.spawn.region_quota_bytes = process.region_quota_bytes;
  outlet_.Send(process.set->launcher,
               Packet::Of(0, launch, JoinTail({strings[0], process.name}) + process.arguments));
  if (maker.process != nullptr) {
    process.spawn_call = call;
  } else {
    Conclude(maker, call, Packet::Of(0, Spawned{process.id}));
  }
  return true;
}

bool Broker::OnLaunched(const PeerRecord& launcher, const Packet& packet) {
  const std::optional<Launched> launched = packet.As<Launched>();
  if (!launched) return false;
  auto found = processes_.find(launched->process);
  if (found == processes_.end() || found->second->set != launcher.set.get()) return true;
  const uint32_t call = std::exchange(found->second->spawn_call, 0);
  const ProcessRecord* maker = FindProcess(found->second->maker);
  if (call != 0 && maker != nullptr && maker->peer != nullptr) {
    Conclude(*maker->peer, call, Packet::Of(0, Spawned{launched->process}));
  }
  return true;
}

// As Simulation::MakeProcess.
absl::Status Broker::CheckSpawn(const PeerRecord& maker, const Spawn& spawn,
                                const std::vector<std::string>& strings) const {
  const ProgramSet& set = maker.set != nullptr ? *maker.set : *maker.process->set;
  if (absl::Status valid = CheckSpawnStrings(strings); !valid.ok()) return valid;
  if (std::find(set.programs.begin(), set.programs.end(), strings[0]) == set.programs.end()) {
    return MakeError(Error::kNoSuchName, absl::StrCat("no program is called '", strings[0], "'"));
  }
  const int highest = maker.process == nullptr ? kMaxPriority : maker.process->ceiling;
  if (spawn.ceiling < kMinPriority || spawn.ceiling > highest) {
    return MakeError(Error::kNotPermitted, absl::StrCat("ceiling ", spawn.ceiling,
                                                        " is not 1 to the maker's of ", highest));
  }
  if (absl::Status valid = CheckWireScheduling(spawn.scheduling, spawn.ceiling); !valid.ok()) {
    return valid;
  }
  const uint32_t uid = maker.process == nullptr ? set.uid : maker.process->uid;
  const uint32_t gid = maker.process == nullptr ? set.gid : maker.process->gid;
  if (uid != 0 &&
      ((spawn.has_uid != 0 && spawn.uid != uid) || (spawn.has_gid != 0 && spawn.gid != gid))) {
    return MakeError(Error::kNotPermitted, "only uid 0 starts processes as somebody else");
  }
  if (spawn.name_server != 0 && maker.process != nullptr) {
    return MakeError(Error::kNotPermitted, "only the launcher starts the name server");
  }
  if (spawn.name_server != 0 && set.name_server != ProcessId::kNone) {
    return MakeError(Error::kAlreadyExists, "these processes have a name server");
  }
  if (spawn.name_server != 0 && owner_set_ != nullptr && owner_set_ != &set) {
    return MakeError(Error::kAlreadyExists, "the broker's owner has the name server");
  }
  return absl::OkStatus();
}

absl::StatusOr<ProcessRecord*> Broker::MakeProcess(const PeerRecord& maker, const Spawn& spawn,
                                                   const std::vector<std::string>& strings,
                                                   const Launch* before) {
  if (absl::Status valid = CheckSpawn(maker, spawn, strings); !valid.ok()) return valid;
  ProgramSet& set = maker.set != nullptr ? *maker.set : *maker.process->set;
  std::string arguments = JoinTail({strings.begin() + 2, strings.end()});
  auto share = process_quota_.Take(set.uid, 1);
  if (!share.ok()) return share.status();
  auto argument_bytes = argument_bytes_.Take(set.uid, arguments.size());
  if (!argument_bytes.ok()) return argument_bytes.status();
  auto record = std::make_unique<ProcessRecord>();
  ProcessRecord& process = *record;
  process.id =
      before != nullptr ? before->process : ProcessId{process_numbers_.Next([&](uint32_t number) {
        return processes_.contains(ProcessId{number});
      })};
  process.set = &set;
  process.maker = maker.process == nullptr ? ProcessId::kNone : maker.process->id;
  process.name = strings[1].empty() ? strings[0] : strings[1];
  process.arguments = std::move(arguments);
  process.share = *std::move(share);
  process.argument_bytes = *std::move(argument_bytes);
  process.scheduling = spawn.scheduling;
  process.ceiling = spawn.ceiling;
  process.uid = maker.process == nullptr ? set.uid : maker.process->uid;
  process.gid = maker.process == nullptr ? set.gid : maker.process->gid;
  if (spawn.has_uid != 0) process.uid = spawn.uid;
  if (spawn.has_gid != 0) process.gid = spawn.gid;
  process.region_quota_bytes = spawn.region_quota_bytes;
  if (maker.process != nullptr) {
    process.region_quota_bytes =
        std::min(process.region_quota_bytes, maker.process->region_quota_bytes);
  }
  process.is_name_server = spawn.name_server != 0;
  if (before != nullptr) process.ticket = before->ticket;
  while (process.ticket == 0 || tickets_.contains(process.ticket)) {
    process.ticket = outlet_.Random();
  }
  tickets_[process.ticket] = process.id;
  set.processes.insert(process.id);
  if (spawn.name_server != 0) set.name_server = process.id;
  processes_[process.id] = std::move(record);
  return &process;
}

// -- (2) Join

bool Broker::OnJoin(PeerRecord& peer, const Packet& packet) {
  const std::optional<Join> join = packet.As<Join>();
  if (!join) return false;
  if (restoring_ && !tickets_.contains(join->ticket)) {  // its launcher has yet to come
    if (std::exchange(peer.is_early, true)) return false;
    early_joins_.emplace_back(peer.id, packet.bytes);
    return true;
  }
  const auto admitted = Admit(peer, *join);
  if (!admitted.ok()) {
    Conclude(peer, packet.header()->call, admitted.status());
    return false;
  }
  ProcessRecord& process = **admitted;
  tickets_.erase(process.ticket);
  peer.stranger = {};
  peer.far.process = process.id;
  peer.process = &process;
  process.peer = &peer;
  process.join_call = packet.header()->call;
  process.stage = Stage::kWaiting;
  RestoreIfComplete();  // which may have welcomed it already
  return process.stage != Stage::kWaiting || AwaitsNames(process) || AnswerJoin(process);
}

absl::StatusOr<ProcessRecord*> Broker::Admit(const PeerRecord& peer, const Join& join) {
  if (absl::Status version = CheckVersion(join.version); !version.ok()) return version;
  auto ticket = tickets_.find(join.ticket);
  if (ticket == tickets_.end()) {
    return MakeError(Error::kNotPermitted, "the ticket admits no process, or has been used");
  }
  ProcessRecord& process = *processes_.at(ticket->second);
  if (process.killed) return Refuse(Error::kProcessEnded);
  if (peer.far.uid != process.uid || peer.far.gid != process.gid) {
    return MakeError(Error::kNotPermitted,
                     absl::StrCat("the process was started as ", process.uid, ":", process.gid,
                                  ", and joins as ", peer.far.uid, ":", peer.far.gid));
  }
  return &process;
}

// -- (3) Welcome

// False: it could not be welcomed, and is to be dropped.
bool Broker::AnswerJoin(ProcessRecord& process) {
  const PeerRecord& peer = *process.peer;
  Answer welcome = Welcome(process);
  const bool welcomed = welcome.ok();
  Conclude(peer, process.join_call, std::move(welcome));
  if (welcomed && process.set->name_server == process.id) WelcomeWaiting();
  return welcomed;
}

// The set whose name server is this one's: its own, or the owner's.
ProgramSet& Broker::NamesOf(ProgramSet& set) {
  if (set.name_server != ProcessId::kNone || owner_set_ == nullptr) return set;
  const bool may = owner_.serves_all || set.uid == owner_set_->uid || set.uid == 0;
  return may ? *owner_set_ : set;
}

bool Broker::AwaitsNames(const ProcessRecord& process) {
  if (restoring_) return true;
  const ProgramSet& names = NamesOf(*process.set);
  if (names.name_server == process.id) return false;
  if (names.name_server != ProcessId::kNone) {
    return processes_.at(names.name_server)->stage != Stage::kJoined;
  }
  // Where names are for all, the owner is about to start them.
  return owner_.pid != 0 && owner_.serves_all && !owner_gone_ && process.set != owner_set_;
}

// A name server has joined, or never will: whoever has waited for that, of any set.
void Broker::WelcomeWaiting() {
  std::vector<ProcessId> ids;
  for (const auto& [id, process] : processes_) {
    if (process->stage == Stage::kWaiting) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  for (ProcessId id : ids) {
    ProcessRecord& process = *processes_.at(id);
    if (AwaitsNames(process)) continue;
    PeerRecord& peer = *process.peer;
    if (!AnswerJoin(process)) DropPeer(peer);
  }
}

Broker::Answer Broker::Welcome(ProcessRecord& process) {
  auto page = MakeBrokerMemory("parley-process", sizeof(ProcessPage), FurtherSeals::kNone);
  if (!page.ok()) return page.status();
  auto grants = MakeBrokerMemory("parley-grants", sizeof(GrantPage), FurtherSeals::kNone);
  if (!grants.ok()) return grants.status();
  auto mapped_page = MapShared(*page, sizeof(ProcessPage), /*writable=*/false);
  if (!mapped_page.ok()) return mapped_page.status();
  auto mapped_grants = MapShared(*grants, sizeof(GrantPage), /*writable=*/true);
  if (!mapped_grants.ok()) return mapped_grants.status();
  auto read_only = ReopenReadOnly(*grants);
  if (!read_only.ok()) return read_only.status();
  Fds fds;
  fds.push_back(*std::move(page));
  fds.push_back(*std::move(read_only));
  if (absl::Status opened = OpenLedger(process, fds[0], *grants, fds); !opened.ok()) return opened;

  Joined joined = {};
  joined.process = process.id;
  joined.uid = process.uid;
  joined.gid = process.gid;
  joined.ceiling = process.ceiling;
  joined.scheduling = process.scheduling;
  joined.start_ns = static_cast<uint64_t>(start_ns_);
  if (absl::Status names = process.set->name_server == process.id
                               ? MakeNameChannel(process, joined, fds)
                               : ConnectToNames(process, joined, fds);
      !names.ok()) {
    return names;
  }
  process.page = *std::move(mapped_page);
  process.grants = *std::move(mapped_grants);
  process.stage = Stage::kJoined;
  const std::string arguments = std::exchange(process.arguments, {});
  process.argument_bytes = {};
  Packet packet = Packet::Of(0, joined, JoinTail({process.name}) + arguments);
  packet.fds = std::move(fds);
  return packet;
}

absl::Status Broker::MakeNameChannel(ProcessRecord& process, Joined& joined, Fds& fds) {
  auto channel = AddChannel(process, "the name service", fds);
  if (!channel.ok()) return channel.status();
  process.set->name_channel = (*channel)->id;
  Enter(**channel, capabilities_.FindRoot({ObjectKind::kChannel, Raw((*channel)->id)})->id,
        /*is_names=*/true);
  joined.name_channel = (*channel)->id;
  joined.names.channel = (*channel)->id;
  joined.names.bell = (*channel)->bells[0]->number;
  return absl::OkStatus();
}

// N5: the first connection of every process but the name server itself.
absl::Status Broker::ConnectToNames(ProcessRecord& process, Joined& joined, Fds& fds) {
  ChannelRecord* names = FindChannel(Raw(NamesOf(*process.set).name_channel));
  if (names == nullptr) return absl::OkStatus();
  Connected connected = {};
  auto connection = MakeConnection(process, *names, nullptr, connected, fds);
  if (!connection.ok()) return connection.status();
  joined.has_names = 1;
  joined.names = {connected.connection, connected.channel, connected.bell, connected.first_bit,
                  connected.server};
  return absl::OkStatus();
}

// -- (4), (5) The end

bool Broker::OnKill(const PeerRecord& by, const Packet& packet) {
  const std::optional<Kill> kill = packet.As<Kill>();
  if (!kill) return false;
  const absl::Status killed = KillProcess(by, kill->process);
  Conclude(by, packet.header()->call, killed.ok() ? Answer(Packet::Of(0, Done{})) : killed);
  return true;
}

absl::Status Broker::KillProcess(const PeerRecord& by, ProcessId target) {
  if (!process_numbers_.WasUsed(Raw(target))) return Refuse(Error::kBadHandle);
  auto found = processes_.find(target);
  if (found == processes_.end()) return absl::OkStatus();  // it has ended, and is forgotten
  ProcessRecord& process = *found->second;
  const bool may =
      by.set != nullptr ? process.set == by.set.get() : process.maker == by.process->id;
  if (!may) return MakeError(Error::kNotPermitted, "only its maker kills a process");
  // Its launcher is to know that somebody asked, and ends it if it has not joined yet.
  if (!std::exchange(process.killed, true)) {
    outlet_.Send(process.set->launcher, Packet::Of(0, Kill{target}));
  }
  if (process.peer != nullptr) outlet_.Kill(process.peer->id, process.peer->pidfd);
  if (process.pidfd.valid()) outlet_.Kill(process.last_peer, process.pidfd);
  return absl::OkStatus();
}

bool Broker::OnExited(const PeerRecord& launcher, const Packet& packet) {
  const std::optional<Exited> exited = packet.As<Exited>();
  if (!exited) return false;
  if (restoring_) {  // its maker may not be there yet
    auto found = processes_.find(exited->process);
    if (found != processes_.end() && found->second->set == launcher.set.get() &&
        found->second->alive()) {
      if (PeerRecord* peer = found->second->peer) DropPeer(*peer);
      if (found->second->alive()) EndProcess(*found->second);
    }
    early_exits_.emplace_back(launcher.id, packet.bytes);
    RestoreIfComplete();
    return true;
  }
  const absl::Status booked = BookExit(*launcher.set, *exited, packet.Tail<Exited>());
  Conclude(launcher, packet.header()->call, booked.ok() ? Answer(Packet::Of(0, Done{})) : booked);
  return true;
}

absl::Status Broker::BookExit(const ProgramSet& set, const Exited& exited,
                              std::string_view reason) {
  if (exited.kind > static_cast<uint32_t>(ExitKind::kStackOverflow)) {
    return MakeError(Error::kInvalidArgument, "no such kind of exit");
  }
  if (!set.processes.contains(exited.process)) return Refuse(Error::kBadHandle);
  ProcessRecord& process = *processes_.at(exited.process);
  if (PeerRecord* peer = process.peer) DropPeer(*peer);  // (4) has not come by yet
  if (process.alive()) EndProcess(process);
  if (const ProcessRecord* maker = FindProcess(process.maker)) {
    Notify(*maker, ChildEnded{process.id, exited.kind, exited.code}, {}, reason);
  }
  EraseProcess(process);
  return absl::OkStatus();
}

// (4) All that it holds ends (R8, L1, L2). Nothing is sent to it on the way.
void Broker::EndProcess(ProcessRecord& process) {
  PARLEY_CHECK(process.alive());
  if (process.stage == Stage::kLaunched) tickets_.erase(process.ticket);
  process.stage = Stage::kEnded;
  if (PeerRecord* peer = std::exchange(process.peer, nullptr)) {
    peer->process = nullptr;
    process.last_peer = peer->id;
    process.pidfd = std::move(peer->pidfd);
    process.descriptor = peer->descriptors.Split(1);
  }
  while (!process.channels.empty()) EndChannel(*FindChannel(Raw(*process.channels.begin())));
  while (!process.regions.empty()) EndRegion(*regions_.at(*process.regions.begin()));
  while (!process.connections.empty()) {
    CloseConnection(*connections_.at(*process.connections.begin()));
  }
  EndCapabilities(capabilities_.KillHolder(process.id));
  process.page = {};
  process.grants = {};
  process.ledger = nullptr;
  ProgramSet& set = *process.set;
  if (set.name_server == process.id) {
    set.name_server = ProcessId::kNone;
    set.name_channel = ChannelId::kNone;
    WelcomeWaiting();
  }
}

// (5)
void Broker::EraseProcess(ProcessRecord& process) {
  PARLEY_CHECK(!process.alive() && process.peer == nullptr);
  process.set->processes.erase(process.id);
  processes_.erase(processes_.find(process.id));
}

}  // namespace parley::host
