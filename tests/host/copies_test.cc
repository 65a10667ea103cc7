// Large messages between processes that Linux does not permit to copy from each other.
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "kernel-sim/boot.h"
#include "tests/support/world.h"

namespace tests {
namespace {

using ipc::Error;
using ipc::ErrorOf;

constexpr absl::Duration kSoon = absl::Seconds(20);
constexpr int64_t kLimitNs = 60'000'000'000;
constexpr size_t kLarge = 500'003;

bool LinuxPermits(uint32_t pid) {
  char here = 0;
  const iovec local = {&here, 1}, remote = {&here, 1};
  return process_vm_readv(static_cast<pid_t>(pid), &local, 1, &remote, 1, 0) == 1 || errno != EPERM;
}

TEST_CASE("processes of two users, neither of them root, exchange large messages") {
  if (geteuid() != 0) {
    MESSAGE("not run: only root starts processes as other users");
    return;
  }
  const std::vector<std::byte> request(kLarge, std::byte{1}), reply(kLarge, std::byte{2});
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.mode = 0666}).value();
                   for (int i = 0; i < 3; ++i) {
                     std::vector<std::byte> got(kLarge);
                     ipc::Received received = channel.Receive(absl::MakeSpan(got)).value();
                     CHECK_FALSE(LinuxPermits(received.message()->info().pid));
                     CHECK(got == request);
                     CHECK(received.message()->Reply(reply).ok());
                   }
                   return 0;
                 },
             .uid = 1001,
             .gid = 1001},
            {.name = "client",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Connection server = self.Open("/s", kSoon).value();
                   for (int i = 0; i < 3; ++i) {
                     std::vector<std::byte> got(kLarge);
                     CHECK(server.Send(request, absl::MakeSpan(got)).value() == kLarge);
                     CHECK(got == reply);
                   }
                   return 0;
                 },
             .uid = 1002,
             .gid = 1002}},
           parley::HostOptions{.limit_ns = kLimitNs});
}

TEST_CASE("a client that is stopped in its send costs its server a bounded time, and its message") {
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received first = channel.Receive().value();
                   const auto pid = static_cast<pid_t>(first.message()->info().pid);
                   CHECK(kill(pid, SIGSTOP) == 0);
                   std::vector<std::byte> got(kLarge);
                   // It is stopped by the time the second of these is asked for, if not the first.
                   absl::Status read;
                   while (read.ok()) read = first.message()->Read(0, absl::MakeSpan(got)).status();
                   CHECK(ErrorOf(read) == Error::kDeadline);
                   CHECK(ErrorOf(first.message()->Write(0, got).status()) == Error::kDeadline);
                   CHECK(ErrorOf(first.message()->Reply(got).status()) == Error::kDeadline);
                   CHECK(kill(pid, SIGCONT) == 0);
                   ipc::Received second = channel.Receive(absl::MakeSpan(got)).value();
                   CHECK(got == std::vector<std::byte>(kLarge, std::byte{2}));
                   return second.message()->Reply(got).ok() ? 0 : 1;
                 }},
            {.name = "client",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Connection server = self.Open("/s", kSoon).value();
                   std::vector<std::byte> bytes(kLarge, std::byte{1}), reply(kLarge);
                   CHECK(ErrorOf(server.Send(bytes, absl::MakeSpan(reply)).status()) ==
                         Error::kNotReplied);
                   bytes.assign(kLarge, std::byte{2});
                   CHECK(server.Send(bytes, absl::MakeSpan(reply)).value() == kLarge);
                   CHECK(reply == bytes);
                   return 0;
                 }}},
           parley::HostOptions{.limit_ns = kLimitNs, .copies_through_link = true});
}

constexpr int kRounds = 60;
constexpr size_t kReply = 400'000;

// What one thread of the process below does with the channel of the same process.
struct Late {
  parley::Kernel* kernel = nullptr;
  parley::ConnectionHandle connection = {};
  parley::MessageHandle message = {};
  std::atomic<int> written = 0;  // how often the message has been written to
  std::vector<std::byte> source = std::vector<std::byte>(kReply, std::byte{1});
  int faults = 0;
};

// The second request of each round is not written to.
void SendRounds(void* argument) {
  Late& late = *static_cast<Late*>(argument);
  std::vector<std::byte> reply(kReply);
  const parley::MutableBytes room = absl::MakeSpan(reply);
  parley::SendArguments arguments;
  arguments.reply = {&room, 1};
  for (int round = 0; round < kRounds; ++round) {
    if (!late.kernel->Send(late.connection, arguments).ok()) ++late.faults;
    std::fill(reply.begin(), reply.end(), std::byte{0});
    if (!late.kernel->Send(late.connection, arguments).ok()) ++late.faults;
    for (const std::byte byte : reply) late.faults += byte == std::byte{0} ? 0 : 1;
  }
}

void WriteOn(void* argument) {
  Late& late = *static_cast<Late*>(argument);
  const parley::ConstBytes source = late.source;
  while (late.kernel->MessageWrite(late.message, 0, {&source, 1}).ok()) ++late.written;
}

// Answers each message while another thread writes into its reply.
int ServeRounds(parley::Kernel& kernel) {
  Late late;
  late.kernel = &kernel;
  const auto channel = kernel.ChannelCreate({}).value();
  const auto token = kernel.ChannelGrant(channel, kernel.birth().process, 0, parley::kMaxPriority,
                                         parley::Rights::kConnect);
  late.connection = kernel.Connect(token.value(), {}, 0).value();
  const auto client = kernel.ThreadSpawn({}, SendRounds, &late).value();
  for (int round = 0; round < kRounds; ++round) {
    parley::ReceiveResult first, second;
    if (!kernel.Receive(channel, {}, parley::kNever, first).ok()) return 1;
    late.message = first.message;
    late.written = 0;
    const auto writer = kernel.ThreadSpawn({}, WriteOn, &late).value();
    while (late.written == 0) kernel.Yield();
    if (!kernel.Reply(first.message, {}).ok()) return 2;
    if (!kernel.Receive(channel, {}, parley::kNever, second).ok()) return 1;
    if (!kernel.ThreadJoin(writer, parley::kNever).ok()) return 3;
    if (!kernel.Reply(second.message, {}).ok()) return 2;
  }
  if (!kernel.ThreadJoin(client, parley::kNever).ok()) return 4;
  return late.faults == 0 ? 0 : 5;
}

TEST_CASE("S4 what a thread still writes while another replies never reaches a later request") {
  for (const bool through_link : {false, true}) {
    auto machine = parley::MakeHost({.limit_ns = kLimitNs, .copies_through_link = through_link},
                                    {{"alone", ServeRounds}});
    parley::InitialProcess process;
    process.program = "alone";
    REQUIRE((*machine)->Add(process).ok());
    const parley::RunReport report = (*machine)->Run();
    CHECK(report.problems.empty());
    CHECK(report.processes.at(0).exit.code == 0);
  }
}

}  // namespace
}  // namespace tests
