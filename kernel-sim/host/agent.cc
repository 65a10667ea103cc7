// The agent: a thread of the kernel's own in each process. It waits for the broker's packets, far
// processes' deaths, knocks, timers and watched descriptors, and does what they ask for under the
// process's lock. It never waits for the broker's answer, and never for a client.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <csignal>

#include "kernel-sim/host/linux_priority.h"
#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

constexpr int kMostKnocks = 64;  // that are taken at once
constexpr int kRetryMs = 10;     // while there is no broker

}  // namespace

absl::Status Process::PrepareAgent() {
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  timer_fd_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_.valid() || !timer_fd_.valid()) {
    return MakeError(Error::kQuotaExhausted, "no descriptors for the process's agent");
  }
  Watch(broker_.get(), AgentKey(AgentSource::kBroker));
  Watch(timer_fd_.get(), AgentKey(AgentSource::kTimers));
  return absl::OkStatus();
}

absl::Status Process::StartAgent() {
  // Signals are the program's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t agent;
  const int error = StartLinuxThread(agent, kAgentLinuxPriority, &RunAgent, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return MakeError(Error::kQuotaExhausted, "no thread for the process's agent");
  return absl::OkStatus();
}

// Each knock is an edge: its clients share the open file, and could make it look readable for ever.
void Process::Watch(int fd, uint64_t key) {
  const bool is_knocker = key >> 32 == static_cast<uint64_t>(AgentSource::kKnocker);
  epoll_event event = {};
  event.events = is_knocker ? EPOLLIN | EPOLLET : EPOLLIN;
  event.data.u64 = key;
  // One that is watched already (a death comes once) is as good.
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void Process::Unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void* Process::RunAgent(void* process) {
  auto& self = *static_cast<Process*>(process);
  self.tracer_.BeginAgent();
  self.AgentLoop();
  return nullptr;
}

void Process::AgentLoop() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int patience_ms = away_tries_ == 0 ? -1 : kRetryMs;
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), patience_ms);
    for (int i = 0; i < count; ++i) {
      const uint64_t key = events[static_cast<size_t>(i)].data.u64;
      const auto number = static_cast<uint32_t>(key);
      switch (static_cast<AgentSource>(key >> 32)) {
        case AgentSource::kBroker:
          if (!OnBrokerReadable()) OnBrokerLost();
          break;
        case AgentSource::kTimers:
          OnTimers();
          break;
        case AgentSource::kKnocker:
          OnKnock(number);
          break;
        case AgentSource::kFarProcess:
          OnFarDeath(ProcessId{number});
          break;
        case AgentSource::kDescriptor:
          OnReady(WatchHandle{number});
          break;
      }
    }
    if (away_tries_ == 0) continue;
    if (count == 0) ++away_tries_;
    TryToRejoin();
  }
}

// False once the broker has gone.
bool Process::OnBrokerReadable() {
  auto packet = ReceivePacket(broker_);
  if (!packet.ok()) return ErrorOf(packet.status()) != Error::kNoSuchChannel;
  const auto header = packet->header();
  if (!header) return true;
  if (header->call != 0) {
    OnAnswer(*std::move(packet));
  } else {
    Locked locked(lock_);
    OnNotice(*std::move(packet));
    ApplyChanges();
  }
  return true;
}

void Process::OnNotice(Packet packet) {
  switch (packet.header()->kind) {
    case Kind::kAttached:
      return OnAttached(std::move(packet));
    case Kind::kEventAttached:
      return OnEventAttached(std::move(packet));
    case Kind::kDetached:
      if (const auto detached = packet.As<Detached>()) DetachConnection(detached->connection);
      return;
    case Kind::kChannelGone:
      if (const auto gone = packet.As<ChannelGone>()) {
        auto found = connections_.find(gone->connection);
        if (found != connections_.end()) KillConnection(*found->second, gone->revoked != 0);
      }
      return;
    case Kind::kChildEnded:
      return OnChildEnded(packet);
    case Kind::kLent:
      return OnLent(std::move(packet));
    case Kind::kUnlent:
      if (const auto unlent = packet.As<Unlent>()) OnUnlent(*unlent);
      return;
    case Kind::kReplaced:
      return OnReplaced(std::move(packet));
    case Kind::kGrantEnded:
      if (const auto ended = packet.As<GrantEnded>()) OnGrantEnded(ended->capability);
      return;
    default:
      return;
  }
}

// Descriptors: link, pidfd of the client; with `new_bell` also bell and knocker. Linux leaves out
// those for which there is no room: then the client is not to wait for ever. Of a channel that is
// being destroyed nothing is known any more.
void Process::OnAttached(Packet packet) {
  const auto attached = packet.As<Attached>();
  if (!attached) return;
  auto mapped = packet.fds.size() < (attached->new_bell != 0 ? 4 : 2)
                    ? absl::StatusOr<SharedMapping>(Refuse(Error::kQuotaExhausted))
                    : MapShared(packet.fds[0], sizeof(Link), /*writable=*/true);
  if (!mapped.ok()) return TellBroker(Packet::Of(0, TurnAway{attached->connection}));
  auto channel = channels_.find(attached->channel);
  if (channel == channels_.end() || channel->second->destroyed) return;
  if (attached->new_bell != 0) {
    AddBell(*channel->second, attached->bell, std::move(packet.fds[2]), std::move(packet.fds[3]));
  }
  auto bell = bells_.find(attached->bell);
  if (bell == bells_.end()) return TellBroker(Packet::Of(0, TurnAway{attached->connection}));
  auto link = std::make_unique<ServedLink>();
  link->connection = attached->connection;
  link->channel = channel->second.get();
  link->bell = bell->second;
  link->first_bit = attached->first_bit;
  link->ceiling = attached->ceiling;
  link->badge = attached->badge;
  link->client = KnowFar(attached->client, std::move(packet.fds[1]));
  link->memory = *std::move(mapped);
  const bool dead = link->client->dead;
  AddServedLink(std::move(link));
  if (dead) DetachConnection(attached->connection);
}

void Process::OnEventAttached(Packet packet) {
  const auto attached = packet.As<EventAttached>();
  const size_t expected = attached && attached->new_bell != 0 ? 3 : 1;
  if (!attached || packet.fds.size() < expected) return;
  auto channel = channels_.find(attached->channel);
  if (channel == channels_.end() || channel->second->destroyed) return;
  if (attached->new_bell != 0) {
    AddBell(*channel->second, attached->bell, std::move(packet.fds[1]), std::move(packet.fds[2]));
  }
  auto bell = bells_.find(attached->bell);
  auto mapped = MapShared(packet.fds[0], sizeof(Link), /*writable=*/true);
  if (bell == bells_.end() || !mapped.ok()) return;
  auto link = std::make_unique<ServedLink>();
  link->event = attached->event;
  link->channel = channel->second.get();
  link->bell = bell->second;
  link->first_bit = attached->first_bit;
  link->any_value = attached->any_value != 0;
  link->code = static_cast<uint8_t>(attached->code);
  link->priority = attached->priority;
  link->value = attached->value;
  link->descriptor = std::move(packet.fds[0]);
  link->memory = *std::move(mapped);
  tracer_.NameEvent(attached->event, attached->channel);
  AddServedLink(std::move(link));
}

// -- Far processes

FarPointer Process::KnowFar(const Far& far, UniqueFd pidfd) {
  if (FarPointer known = far_.Find(far.process)) return known;
  auto process = std::make_shared<FarProcess>();
  process->far = far;
  process->pidfd = std::move(pidfd);
  process->watched_by = epoll_.get();
  far_.Add(far.process, process);
  Watch(process->pidfd.get(), AgentKey(AgentSource::kFarProcess, Raw(far.process)));
  return process;
}

// L1, L2, with or without a broker.
void Process::OnFarDeath(ProcessId id) {
  Locked locked(lock_);
  const FarPointer process = far_.Find(id);
  far_.Remove(id);
  if (process == nullptr || process->dead) return;
  process->dead = true;
  Unwatch(process->pidfd.get());
  std::vector<OutConnection*> to_it;
  for (auto& [number, connection] : connections_) {
    if (connection->server == process) to_it.push_back(connection.get());
  }
  for (OutConnection* connection : to_it) KillConnection(*connection, false);
  std::vector<uint32_t> from_it;
  for (auto& [number, links] : served_connections_) {
    if (links.front()->client == process) from_it.push_back(number);
  }
  for (uint32_t number : from_it) DetachConnection(number);
  ApplyChanges();
}

// P4: a client above all who serve is about to sleep.
void Process::OnKnock(uint32_t number) {
  Locked locked(lock_);
  auto found = bells_.find(number);
  if (found == bells_.end()) return;
  const int knocker = found->second->knocker.get();
  char knock = 0;
  int knocks = 0;
  while (knocks < kMostKnocks && recv(knocker, &knock, 1, MSG_DONTWAIT) == 1) ++knocks;
  if (knocks == kMostKnocks) {  // the rest is another edge
    epoll_event event = {.events = EPOLLIN | EPOLLET,
                         .data = {.u64 = AgentKey(AgentSource::kKnocker, number)}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, knocker, &event);
  }
  Drain(*found->second->channel);
}

}  // namespace parley::host
