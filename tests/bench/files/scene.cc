// A machine with servers and the client that measures, and the file that is read.
#include "tests/bench/files/scene.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ipc/world.h"
#include "libipc/machine.h"
#include "servers/common/descriptor.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

constexpr absl::Duration kLimit = absl::Minutes(10);  // past it, something is wrong
constexpr int kMostRounds = 1'000;

// What the client's process leaves for the bench's.
struct Results {
  int rounds = 0;
  std::array<double, kMostRounds> ours, peers;
};

void TakeTurns(int rounds, Results& results, Pass ours, Pass peers) {
  ours();
  peers();
  for (int i = 0; i < std::min(rounds, kMostRounds); ++i) {
    const auto at = static_cast<size_t>(i);
    if (i % 2 == 0) results.ours[at] = ours();
    results.peers[at] = peers();
    if (i % 2 != 0) results.ours[at] = ours();
    results.rounds = i + 1;
  }
}

parley::InitialProcess ProcessOf(const ServerProgram& program, bool service) {
  parley::InitialProcess process;
  process.program = program.name;
  process.options.arguments = program.arguments;
  process.service = service;
  return process;
}

// The word that a page begins with, and is filled with.
uint64_t WordOf(uint64_t page) { return (page + 1) * 0x9e3779b97f4a7c15u; }

}  // namespace

absl::StatusOr<Rounds> RunScene(
    const Bench& bench, const std::vector<ServerProgram>& servers,
    const std::function<void(ipc::Process& self, const Alternate& alternate)>& client) {
  Shared<Results> results;
  const ServerProgram measures = {.name = "client",
                                  .main =
                                      [&](ipc::Process& self) {
                                        client(self, [&](Pass ours, Pass peers) {
                                          TakeTurns(bench.rounds, *results, ours, peers);
                                        });
                                        return 0;
                                      },
                                  .arguments = {}};
  ipc::ProgramTable programs = {{"names", ipc::RunNameServer}, {"client", measures.main}};
  for (const ServerProgram& server : servers) programs.push_back({server.name, server.main});
  auto machine =
      ipc::MakeMachine(parley::HostOptions{.limit_ns = absl::ToInt64Nanoseconds(kLimit)}, programs);
  if (!machine.ok()) return machine.status();
  parley::InitialProcess names = ProcessOf({.name = "names", .main = {}, .arguments = {}}, true);
  names.name_server = true;
  names.options.scheduling.priority = parley::kMaxPriority;
  absl::Status added = (*machine)->Add(names);
  for (const ServerProgram& server : servers) {
    added.Update((*machine)->Add(ProcessOf(server, true)));
  }
  added.Update((*machine)->Add(ProcessOf(measures, false)));
  if (!added.ok()) return added;
  const parley::RunReport report = (*machine)->Run();
  if (!report.problems.empty()) return absl::InternalError(report.problems.front());
  if (report.timed_out) return absl::DeadlineExceededError("it takes too long");
  if (results->rounds < bench.rounds) return absl::InternalError("the client ended early");
  const auto count = static_cast<size_t>(results->rounds);
  return Rounds{{results->ours.begin(), results->ours.begin() + count},
                {results->peers.begin(), results->peers.begin() + count}};
}

absl::Status WriteFile(const Bench& bench) {
  const common::Descriptor file(
      open(bench.file().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.valid()) return absl::ErrnoToStatus(errno, bench.file());
  std::vector<uint64_t> words(kMi / sizeof(uint64_t));
  constexpr size_t kWords = kPageBytes / sizeof(uint64_t);
  for (uint64_t offset = 0; offset < bench.bytes; offset += kMi) {
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = WordOf(offset / kPageBytes + i / kWords);
    }
    if (write(file.number(), words.data(), kMi) != static_cast<ssize_t>(kMi)) {
      return absl::ErrnoToStatus(errno, bench.file());
    }
  }
  if (fsync(file.number()) != 0) return absl::ErrnoToStatus(errno, bench.file());
  return absl::OkStatus();
}

void CheckPage(const void* bytes, uint64_t page) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  if (word != WordOf(page)) Fatal(absl::StrCat("page ", page, " was read as another one"));
}

}  // namespace parley_bench
