// Worlds: what a user's main() gets back.
#include "ipc/world.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>

#include "libipc/machine.h"

namespace {

int ReturnsNumber(ipc::Process& self) { return std::stoi(self.arguments().at(0)); }

ipc::World OneProgram(int cpus = 1) {
  return ipc::World({{"program", ReturnsNumber}}, {.cpus = cpus});
}

TEST_CASE("a world returns 0 when all its processes do") {
  ipc::World world = OneProgram();
  world.Start("program", {.process = {.arguments = {"0"}}});
  world.Start("program", {.process = {.arguments = {"0"}}});
  CHECK(world.Run() == 0);
}

TEST_CASE("a world on the host kernel runs its programs as processes of Linux") {
  const pid_t test = getpid();
  auto program = [test](ipc::Process& self) { return getpid() == test ? 9 : ReturnsNumber(self); };
  ipc::World world({{"program", program}}, {.kernel = ipc::WorldKernel::kHost});
  world.Start("program", {.process = {.arguments = {"0"}}});
  world.Start("program", {.process = {.arguments = {"3"}}});
  CHECK(world.Run() == 3);
}

TEST_CASE("a world returns the first exit code that is not 0, but not a service's") {
  ipc::World world = OneProgram();
  world.Start("program", {.process = {.arguments = {"9"}}, .service = true});
  world.Start("program", {.process = {.arguments = {"0"}}});
  world.Start("program", {.process = {.arguments = {"5"}}});
  world.Start("program", {.process = {.arguments = {"6"}}});
  CHECK(world.Run() == 5);
}

TEST_CASE("a world says what is wrong with its plan") {
  {
    ipc::World world = OneProgram();
    world.Start("other");
    CHECK(world.Run() == 1);
  }
  {
    ipc::World world = OneProgram(/*cpus=*/0);
    CHECK(world.Run() == 1);
  }
  {
    ipc::World world = OneProgram();
    world.Start("program", {.process = {.arguments = {"no number"}}});
    CHECK(world.Run() == 128);
  }
}

// What `run` says on stderr.
std::string SaidBy(const std::function<void()>& run) {
  const int before = dup(STDERR_FILENO);
  std::FILE* said = std::tmpfile();
  dup2(fileno(said), STDERR_FILENO);
  run();
  dup2(before, STDERR_FILENO);
  close(before);
  std::string text(static_cast<size_t>(lseek(fileno(said), 0, SEEK_END)), '\0');
  CHECK(pread(fileno(said), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  std::fclose(said);
  return text;
}

TEST_CASE("a world on the host kernel says who was killed from outside, and has failed") {
  auto dies = [](ipc::Process&) { return raise(SIGKILL); };
  auto waits = [](ipc::Process& self) {
    self.Sleep(absl::Milliseconds(100)).IgnoreError();
    return 0;
  };
  for (const bool service : {false, true}) {
    const std::string said = SaidBy([&] {
      ipc::World world({{"dies", dies}, {"waits", waits}}, {.kernel = ipc::WorldKernel::kHost});
      world.Start("dies", {.service = service});
      world.Start("waits");
      CHECK(world.Run() == (service ? 1 : 128));
    });
    CHECK(said == "dies: killed by signal 9 (SIGKILL)\n");
  }
}

TEST_CASE("equal seeds give equal runs, other seeds other tokens") {
  auto token_of = [](uint64_t seed) {
    ipc::Token token;
    ipc::World world({{"program",
                       [&](ipc::Process& self) {
                         ipc::Channel channel = self.CreateChannel("c").value();
                         token = channel.Grant(self.me()).value();
                         return 0;
                       }}},
                     {.seed = seed});
    world.Start("program");
    CHECK(world.Run() == 0);
    return token;
  };
  CHECK(token_of(1) == token_of(1));
  CHECK(token_of(1) != token_of(2));
}

}  // namespace
