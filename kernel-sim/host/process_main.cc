// A child of the launcher joins the kernel, runs its program, says farewell and leaves.
#include "kernel-sim/host/process_main.h"

#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/linux_priority.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/service.h"
#include "kernel-sim/safe_copy.h"

namespace parley::host {
namespace {

constexpr int64_t kJoinPatienceNs = 10'000'000'000;
constexpr int kRetryMs = 10;

}  // namespace

// A broker that dies meanwhile is followed by another one, which is asked again.
absl::StatusOr<Packet> Process::AskToJoin(const Packet& join) {
  const int64_t until = MonotonicNs() + kJoinPatienceNs;
  for (;;) {
    broker_ = ConnectToSame(start_.broker_address, start_.broker_listener);
    absl::StatusOr<Packet> answer =
        MakeError(Error::kNoSuchChannel, absl::StrCat("no broker at ", start_.broker_address));
    if (broker_.valid() && SendPacket(broker_, join).ok()) answer = ReceivePacket(broker_);
    if (answer.ok() || MonotonicNs() > until) return answer;
    poll(nullptr, 0, kRetryMs);
  }
}

absl::Status Process::Join() {
  auto call = Zeroed<host::Join>();
  call.version = kWireVersion;
  call.ticket = start_.ticket;
  auto answer = AskToJoin(Packet::Of(1, call));
  if (!answer.ok()) return answer.status();
  const auto joined = answer->As<Joined>();
  if (const auto failed = answer->As<Failed>()) {
    return MakeError(static_cast<Error>(failed->error), answer->Tail<Failed>());
  }
  if (!joined) return Refuse(Error::kWrongType);
  if (answer->fds.size() < 3) return Refuse(Error::kQuotaExhausted);
  auto page = MapShared(answer->fds[0], sizeof(ProcessPage), /*writable=*/true);
  auto grants = MapShared(answer->fds[1], sizeof(GrantPage), /*writable=*/false);
  if (!page.ok()) return page.status();
  if (!grants.ok()) return grants.status();
  page_memory_ = *std::move(page);
  grants_memory_ = *std::move(grants);
  page_descriptor_ = std::move(answer->fds[0]);
  grants_descriptor_ = std::move(answer->fds[1]);
  ledger_descriptor_ = std::move(answer->fds[2]);

  void* origin =
      mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (origin == MAP_FAILED || madvise(origin, kPageBytes, MADV_WIPEONFORK) != 0) {
    return Refuse(Error::kQuotaExhausted);
  }
  origin_ = new (origin) std::atomic<uint32_t>(1);
  start_ns_ = joined->start_ns;
  ceiling_ = joined->ceiling;
  birth_.process = joined->process;
  birth_.uid = joined->uid;
  birth_.gid = joined->gid;
  std::vector<std::string> strings = SplitTail(answer->Tail<Joined>());
  if (!strings.empty()) {
    birth_.name = std::move(strings[0]);
    birth_.arguments.assign(std::make_move_iterator(strings.begin() + 1),
                            std::make_move_iterator(strings.end()));
  }
  Locked locked(lock_);
  if (absl::Status started = PrepareAgent(); !started.ok()) return started;
  const Scheduling scheduling = FromWire(joined->scheduling);
  main_priority_ = scheduling.priority;
  // What the agent needs is what tells. Where it is not permitted, all run as others do: the queues
  // keep their order (P1), and Linux shares its CPUs out.
  real_time_ = SetLinuxPriority(0, Policy::kFifo, kAgentLinuxPriority);
  const sched_param ordinary = {};
  if (!real_time_) sched_setscheduler(0, SCHED_OTHER, &ordinary);
  HostThread& main = *MakeThread(scheduling, "main");
  main.named = true;
  BecomeThread(main);
  if (absl::Status met = MeetNames(*joined, *answer); !met.ok()) return met;
  return StartAgent();
}

// The first connection, or the name server's channel.
absl::Status Process::MeetNames(const Joined& joined, Packet& answer) {
  if (joined.name_channel != ChannelId::kNone) {
    if (answer.fds.size() < 5) return Refuse(Error::kQuotaExhausted);
    Fds fds;
    fds.push_back(std::move(answer.fds[3]));
    fds.push_back(std::move(answer.fds[4]));
    ChannelOptions options;
    options.name = "names";
    options.unblock_pulse = options.disconnect_pulse = true;
    auto channel = AddChannel(joined.name_channel, joined.names.bell, options, fds);
    if (!channel.ok()) return channel.status();
    birth_.name_service_channel = *channel;
    return absl::OkStatus();
  }
  if (joined.has_names == 0) return absl::OkStatus();
  auto connected = Zeroed<Connected>();
  connected.connection = joined.names.connection;
  connected.channel = joined.names.channel;
  connected.bell = joined.names.bell;
  connected.first_bit = joined.names.first_bit;
  connected.ceiling = joined.ceiling;
  connected.server = joined.names.server;
  Packet packet = Packet::Of(0, connected);
  for (size_t i = 3; i < answer.fds.size(); ++i) packet.fds.push_back(std::move(answer.fds[i]));
  if (absl::Status arrived = OnConnected(packet); !arrived.ok()) return arrived;
  birth_.name_service = connection_handles_.Add(connections_.at(connected.connection).get());
  return absl::OkStatus();
}

// -- The end

// The first thread to say something says it.
void Process::Say(ExitKind kind, int code, std::string_view reason) {
  if (farewell_said_.test_and_set()) {
    for (;;) pause();  // who came first is about to leave
  }
  Farewell& farewell = *start_.farewell;
  farewell.kind = static_cast<uint32_t>(kind);
  farewell.code = code;
  const size_t size = std::min(reason.size(), farewell.reason.size() - 1);
  std::copy_n(reason.data(), size, farewell.reason.data());
  farewell.reason[size] = '\0';
  farewell.said = 1;
}

void Process::End(ExitKind kind, int code, std::string_view reason) {
  Say(kind, code, reason);
  std::fflush(nullptr);
  _exit(0);  // what is shared is Linux's to take back
}

void Process::EndByException(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    End(ExitKind::kException, 128, DescribeUncaught(exception));
  } catch (...) {
    End(ExitKind::kException, 128, "uncaught exception that is no std::exception");
  }
}

void RunProcess(ProcessStart start) {
  const Program& program = *start.program;
  ForgetLinuxThreadId();
  RescueCopies();
  // Never taken down: threads that have not unwound may still be in it.
  auto* process = new Process(std::move(start));
  if (absl::Status joined = process->Join(); !joined.ok()) {
    if (ErrorOf(joined) == Error::kProcessEnded) {  // killed before it was there
      process->End(ExitKind::kKilled, 128, "killed");
    }
    process->End(ExitKind::kException, 1, absl::StrCat("cannot join: ", joined.message()));
  }
  process->CatchFaults();
  try {
    process->End(ExitKind::kReturned, program.main(*process), "");
  } catch (const ProcessEnded&) {
    process->End(ExitKind::kKilled, 128, "ended");
  } catch (...) {
    process->EndByException(std::current_exception());
  }
}

}  // namespace parley::host
