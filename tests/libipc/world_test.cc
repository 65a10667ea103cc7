// Worlds: what a user's main() gets back.
#include "ipc/world.h"

#include <doctest/doctest.h>
#include <unistd.h>

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
