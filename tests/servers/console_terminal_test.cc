// Tests of servers/console/terminal.h.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "doctest/doctest.h"
#include "servers/common/descriptor.h"
#include "servers/console/terminal.h"

namespace console {
namespace {

TEST_CASE("a terminal is in raw mode while the console has it, and then as it was") {
  const common::Descriptor person(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(person.valid());
  REQUIRE(unlockpt(person.number()) == 0);
  std::array<char, 64> path = {};
  REQUIRE(ptsname_r(person.number(), path.data(), path.size()) == 0);
  const common::Descriptor side(open(path.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  const auto flags = [&] {
    termios mode = {};
    REQUIRE(tcgetattr(side.number(), &mode) == 0);
    return mode.c_lflag;
  };
  const tcflag_t before = flags();
  CHECK((before & ICANON) != 0);
  {
    std::optional<Terminal> terminal = Terminal::Open(path.data()).value();
    CHECK((flags() & ICANON) == 0);
    REQUIRE(write(person.number(), "x", 1) == 1);
    CHECK(terminal->Read().value() == "x");
    CHECK(terminal->Read().value().empty());
    const Terminal moved = *std::move(terminal);
    terminal.reset();
    CHECK((flags() & ICANON) == 0);
  }
  CHECK(flags() == before);
}

TEST_CASE("what is no terminal is refused with its path") {
  CHECK(Terminal::Open("/dev/null").status().message().find("/dev/null") != std::string::npos);
  CHECK_FALSE(Terminal::Open("/no/such/terminal").ok());
}

}  // namespace
}  // namespace console
