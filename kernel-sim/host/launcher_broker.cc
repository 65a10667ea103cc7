// The launcher and its broker: how they meet, what they say, and what becomes of a run whose broker
// dies.
//
//   (1) the launcher listens, and forks a broker that serves the socket (or joins a service's)
//   (2) it says who it is, which of its processes are there already, and whose end was not
//       confirmed, or was just now
//   (3) its broker dies: what that has said is heard to the end, another one is forked, and (2)
//   again
// Who connects meanwhile waits in the socket's queue.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <set>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/broker_loop.h"
#include "kernel-sim/host/child.h"
#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/launcher.h"
#include "kernel-sim/host/service.h"
#include "kernel-sim/host/wire_rejoin.h"
#include "kernel-sim/refusals.h"

namespace parley::host {
namespace {

constexpr int64_t kBrokerEndsNs = 2'000'000'000;  // how long it may take once its launcher is gone
constexpr int64_t kServiceReturnsNs = 2'000'000'000;
constexpr int64_t kBrokersDieNs = 10'000'000'000;  // one after the other, before they have answered
constexpr int kRetryMs = 10;
constexpr int64_t kMakersAreToldNs = 5'000'000'000;  // by a broker that has confirmed an exit

absl::Status NoBroker() {
  return MakeError(Error::kQuotaExhausted, absl::StrCat("no broker: ", strerror(errno)));
}

bool HasEnded(const UniqueFd& pidfd, int64_t wait_ns) {
  pollfd ended = {pidfd.get(), POLLIN, 0};
  return poll(&ended, 1, static_cast<int>(wait_ns / 1'000'000)) == 1;
}

}  // namespace

// -- (1) Meeting

bool Launcher::Start() {
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = kSignalKey}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, scope_->interrupts().get(), &event);
  if (absl::Status met = MeetBroker(); !met.ok()) {
    Fail(std::string(met.message()));
    return false;
  }
  const absl::Status introduced = Introduce();
  if (introduced.ok()) return true;
  if (ErrorOf(introduced) != Error::kNoSuchChannel) {
    Fail(absl::StrCat("the broker refuses: ", introduced.message()));
    return false;
  }
  OnBrokerGone();
  return !failed_;
}

// Joins one, or starts one: at a service's path, or for this run alone.
absl::Status Launcher::MeetBroker() {
  if (!options_.join.empty()) {
    address_ = options_.join;
    std::erase_if(initial_, [](const InitialProcess& process) { return process.name_server; });
    auto broker = ConnectToBroker(address_);
    if (broker.ok()) WatchBroker(*std::move(broker));
    return broker.status();
  }
  if (getrandom(key_.data(), key_.size(), 0) != static_cast<ssize_t>(key_.size())) {
    return NoBroker();
  }
  if (!options_.serve_at.empty()) {
    address_ = options_.serve_at;
    auto service = ListenAsService(address_);
    if (!service.ok()) return service.status();
    service_lock_ = std::move(service->lock);
    listener_ = std::move(service->listener);
    return StartBroker();
  }
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return NoBroker();
  address_ = absl::StrCat(PrivatePrefix(getpid()), absl::Hex(random));
  listener_ = Listen(address_);
  return listener_.valid() ? StartBroker() : NoBroker();
}

void Launcher::WatchBroker(UniqueFd broker) {
  broker_ = std::move(broker);
  listener_is_ = ListenerOf(broker_);
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = kBrokerKey}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, broker_.get(), &event);
}

absl::Status Launcher::StartBroker() {
  // Before there is a broker: whatever becomes of the launcher, the broker finds out.
  UniqueFd broker = ConnectTo(address_);
  if (!broker.valid()) return NoBroker();
  WatchBroker(std::move(broker));
  std::fflush(nullptr);
  const pid_t launcher = getpid();
  broker_pid_ = fork();
  if (broker_pid_ < 0) return NoBroker();
  if (broker_pid_ == 0) {
    if (reign_ > 0) {  // the first one learns it from its socket
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != launcher) _exit(0);
    }
    // Only what it listens on stays open.
    dup2(listener_.get(), 3);
    close_range(4, ~0u, 0);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    _exit(RunBroker(UniqueFd(3), {.private_to_launcher = options_.serve_at.empty(),
                                  .owner_pid = static_cast<uint32_t>(launcher),
                                  .start_ns = start_ns_,
                                  .reign = reign_,
                                  .key = key_}));
  }
  broker_pidfd_ = OpenPidfd(broker_pid_);
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = kBrokerKey}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, broker_pidfd_.get(), &event);
  return absl::OkStatus();
}

void Launcher::StopBroker() {
  if (service_lock_.valid()) unlink(address_.c_str());
  broker_.Reset();
  if (broker_pid_ < 0) return;
  if (!HasEnded(broker_pidfd_, kBrokerEndsNs)) kill(broker_pid_, SIGKILL);
  waitpid(broker_pid_, nullptr, 0);
  broker_pid_ = -1;
  broker_pidfd_.Reset();
  epoll_.Reset();
  listener_.Reset();
  service_lock_.Reset();  // last: whoever has it next finds nothing of us
}

// -- (2) What is said

// kNoSuchChannel: the broker has died.
absl::Status Launcher::Introduce() {
  std::vector<std::string> names;
  for (const Program& program : programs_) names.push_back(program.name);
  ForgetOldExits();
  std::set<ProcessId> ended;
  for (const auto& [call, exit] : exits_) ended.insert(exit.packet.As<Exited>()->process);
  std::vector<const Child*> adopted;
  for (const auto& [id, child] : children_) {
    if (child.launch && (child.pid >= 0 || ended.contains(id))) adopted.push_back(&child);
  }
  const auto count = static_cast<uint32_t>(adopted.size());
  const auto answer =
      AskOnce(++last_call_, Packet::Of(0, BecomeLauncher{kWireVersion, count}, JoinTail(names)));
  if (!answer.ok()) return answer.status();
  for (const Child* child : adopted) {
    const auto pid = static_cast<uint32_t>(std::max(child->pid, 0));
    const Packet packet =
        Packet::Of(++last_call_, Adopt{*child->launch, pid, 0}, child->launch_tail);
    if (absl::Status told = Tell(packet); !told.ok()) return told;
  }
  for (const auto& [call, exit] : exits_) {
    if (absl::Status told = Tell(exit.packet); !told.ok()) return told;
  }
  return absl::OkStatus();
}

void Launcher::ForgetOldExits() {
  const int64_t old = MonotonicNs() - kMakersAreToldNs;
  std::erase_if(exits_, [&](const auto& exit) {
    return exit.second.confirmed_ns != 0 && exit.second.confirmed_ns < old;
  });
}

// kNoSuchChannel: the broker has gone. One that has not accepted the connection leaves a socket
// that takes what fits, and nothing more.
absl::Status Launcher::Tell(const Packet& packet) {
  for (;;) {
    absl::Status sent = SendPacket(broker_, packet, MSG_DONTWAIT);
    if (ErrorOf(sent) != Error::kDeadline) return sent;
    std::array<pollfd, 2> sources = {pollfd{broker_.get(), POLLOUT, 0},
                                     pollfd{broker_pidfd_.get(), POLLIN, 0}};
    poll(sources.data(), sources.size(), -1);
    if (sources[1].revents != 0) return Refuse(Error::kNoSuchChannel);
  }
}

// Waits for the answer, from another broker if this one dies: asked by the same number, that does
// nothing twice.
absl::StatusOr<Packet> Launcher::Ask(const Packet& packet) {
  const uint32_t number = ++last_call_;
  for (;;) {
    auto answer = AskOnce(number, packet);
    if (answer.ok() || ErrorOf(answer.status()) != Error::kNoSuchChannel) return answer;
    if (absl::Status revived = Revive(); !revived.ok()) return revived;
  }
}

// Notices that come before the answer are kept. kNoSuchChannel: the broker has died.
absl::StatusOr<Packet> Launcher::AskOnce(uint32_t number, const Packet& packet) {
  Packet call;
  call.bytes = packet.bytes;
  call.SetCall(number);
  if (absl::Status told = Tell(call); !told.ok()) return told;
  for (;;) {
    auto answer = Hear(kNever);
    if (!answer.ok()) return answer;
    const auto head = answer->header();
    if (head && head->call == number) {
      const auto failed = answer->As<Failed>();
      if (!failed) return answer;
      return MakeError(static_cast<Error>(failed->error), answer->Tail<Failed>());
    }
    notices_.push_back(*std::move(answer));
  }
}

// The next packet. kNoSuchChannel: the broker has gone, whether it had accepted the connection or
// not. kDeadline: nothing has come yet.
absl::StatusOr<Packet> Launcher::Hear(int64_t wait_ns) {
  std::array<pollfd, 2> sources = {pollfd{broker_.get(), POLLIN, 0},
                                   pollfd{broker_pidfd_.get(), POLLIN, 0}};
  poll(sources.data(), sources.size(), wait_ns == kNever ? -1 : 0);
  if (sources[0].revents != 0) return ReceivePacket(broker_);
  return Refuse(sources[1].revents != 0 ? Error::kNoSuchChannel : Error::kDeadline);
}

// False once it has gone. The event may have been its predecessor's.
bool Launcher::OnBroker() {
  const auto packet = Hear(kPollNow);
  if (packet.ok()) OnPacket(*packet);
  return packet.ok() || ErrorOf(packet.status()) != Error::kNoSuchChannel;
}

void Launcher::TakeNotices() {
  while (!notices_.empty()) {
    const Packet notice = std::move(notices_.front());
    notices_.pop_front();
    OnPacket(notice);
  }
}

void Launcher::OnPacket(const Packet& packet) {
  if (const auto launch = packet.As<Launch>()) return OnLaunch(*launch, packet.Tail<Launch>());
  if (const auto kill = packet.As<Kill>()) {
    auto child = children_.find(kill->process);
    if (child == children_.end()) return;
    child->second.kill_asked = true;
    if (child->second.pid >= 0) ::kill(child->second.pid, SIGKILL);
    return;
  }
  const auto header = packet.header();
  auto confirmed = header ? exits_.find(header->call) : exits_.end();
  if (confirmed == exits_.end() || confirmed->second.confirmed_ns != 0) return;
  confirmed->second.confirmed_ns = MonotonicNs();
  --unconfirmed_;
  // Whoever asked for its death is known by now: the broker says so before it confirms an exit.
  Child& child = children_.at(confirmed->second.packet.As<Exited>()->process);
  child.report.killed_from_outside = child.killed_by_a_signal && !child.kill_asked;
}

// -- (3) Its death

// What ends the broker may have been meant for all of us.
void Launcher::OnBrokerGone() {
  if (CheckInterrupt() || failed_) return;
  const absl::Status revived = Revive();
  if (!revived.ok() && !IsOver()) Fail(std::string(revived.message()));
}

// Failed: there will be no other broker.
absl::Status Launcher::Revive() {
  absl::Status introduced;
  const int64_t until = MonotonicNs() + kBrokersDieNs;
  do {
    if (CheckInterrupt() || IsOver()) return Refuse(Error::kCancelled);
    for (auto last = Hear(kPollNow); last.ok(); last = Hear(kPollNow)) {
      notices_.push_back(*std::move(last));
    }
    // A child that was just forked may have it too, and none of them is to be heard by the next
    // one.
    shutdown(broker_.get(), SHUT_RDWR);
    broker_.Reset();  // which ends its watch
    TakeNotices();
    absl::Status met = options_.join.empty() ? ReplaceBroker() : MeetJoinedAgain();
    if (!met.ok()) return met;
    introduced = Introduce();
    if (introduced.ok()) return introduced;
    poll(nullptr, 0, kRetryMs);
  } while (ErrorOf(introduced) == Error::kNoSuchChannel && MonotonicNs() < until);
  return MakeError(ErrorOf(introduced),
                   absl::StrCat("the broker has died, and so have others: ", introduced.message()));
}

// One that could not go on has said so, and another could not either.
absl::Status Launcher::ReplaceBroker() {
  if (!HasEnded(broker_pidfd_, kBrokerEndsNs)) kill(broker_pid_, SIGKILL);
  int status = 0;
  waitpid(broker_pid_, &status, 0);
  broker_pid_ = -1;
  broker_pidfd_.Reset();
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
    return MakeError(Error::kNoSuchChannel, "the broker has ended: the line above says why");
  }
  ++reign_;
  return StartBroker();
}

absl::Status Launcher::MeetJoinedAgain() {
  const int64_t until = MonotonicNs() + kServiceReturnsNs;
  do {
    UniqueFd broker = ConnectToSame(address_, listener_is_);
    if (broker.valid()) {
      WatchBroker(std::move(broker));
      return absl::OkStatus();
    }
    poll(nullptr, 0, kRetryMs);
  } while (MonotonicNs() < until && !CheckInterrupt() && !IsPrivate(address_));
  // Its launcher listens for as long as a run lives, whichever broker serves.
  if (IsPrivate(address_)) return MakeError(Error::kNoSuchChannel, RunReport::kJoinedRunEnded);
  return MakeError(Error::kNoSuchChannel,
                   absl::StrCat("the broker at ", address_, " has died, and has not returned"));
}

}  // namespace parley::host
