// Conformance: /dev/console on a terminal that a test sits at, on every kernel.
#include "servers/console/console.h"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>

#include "ipc/file_server.h"
#include "servers/console/terminal.h"
#include "tests/conformance/files.h"

namespace {

using console::kName;
using ipc::BytesOfText;
using ipc::File;
using ipc::files::kReadable;
using ipc::files::kWritable;
using tests::Shared;
using tests::conformance::Client;
using tests::conformance::Ending;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

// As WaitUntil; but virtual time is not to run away while Linux carries bytes between the sides.
bool Eventually(ipc::Process& self, const std::function<bool()>& fact) {
  return WaitUntil(self, [&] {
    if (fact()) return true;
    if (!tests::conformance::OnHost()) usleep(1000);
    return false;
  });
}

// A pair of terminals: the console has one side, a client types and looks at the other. Descriptors
// are a process's own, so the client makes it, and starts the console.
class Person {
 public:
  Person() : side_(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
    REQUIRE(side_ >= 0);
    REQUIRE(grantpt(side_) == 0);
    REQUIRE(unlockpt(side_) == 0);
    REQUIRE(ptsname_r(side_, path_.data(), path_.size()) == 0);
    // Held open, so that it is not hung up when the console leaves.
    other_ = open(path_.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(other_ >= 0);
  }
  ~Person() {
    close(other_);
    close(side_);
  }
  Person(const Person&) = delete;
  Person& operator=(const Person&) = delete;

  const char* path() const { return path_.data(); }
  void Type(const std::string& keys) const {
    CHECK(write(side_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }
  // Until the terminal has shown this text.
  bool Sees(ipc::Process& self, const std::string& text) {
    return Eventually(self, [&] {
      std::array<char, 512> some;
      const ssize_t count = read(side_, some.data(), some.size());
      if (count > 0) seen_.append(some.data(), static_cast<size_t>(count));
      return seen_.find(text) != seen_.npos;
    });
  }
  void Forget() { seen_.clear(); }
  bool IsRaw() const {
    termios mode = {};
    CHECK(tcgetattr(other_, &mode) == 0);
    return (mode.c_lflag & (ICANON | ECHO)) == 0;
  }

 private:
  const int side_;
  int other_ = -1;
  std::array<char, 64> path_ = {};
  std::string seen_;
};

tests::Actor Console() { return {.name = "console", .main = console::Main, .only_program = true}; }

tests::Actor Sitting(std::function<void(ipc::Process&, Person&)> body) {
  return Client([body](ipc::Process& self) {
    Person person;
    const std::string tty = std::string("--tty=") + person.path();
    const ipc::Child console = self.Start("console", {.arguments = {tty}}).value();
    body(self, person);
    CHECK(console.Kill().ok());
    CHECK(console.Wait(kSoon).ok());
  });
}

File Open(ipc::Process& self, uint32_t flags = O_RDWR) {
  return File::Open(self, kName, flags, 0, kSoon).value();
}

TEST_CASE("console: a line is read once it is finished, and echoed as it is typed") {
  RunWorld({Console(), Sitting([&](ipc::Process& self, Person& person) {
              const File file = Open(self);
              CHECK(person.IsRaw());
              person.Type("helo");
              CHECK(person.Sees(self, "helo"));
              const File now = Open(self, O_RDONLY | O_NONBLOCK);
              char byte = 0;
              CHECK(ErrnoOf(now.Read(ipc::MutableBytesOf(byte))) == EAGAIN);
              CHECK(now.Poll(kReadable | kWritable).value() == kWritable);
              person.Type("\x1b[Dl\rnext\r");
              CHECK(ReadText(file) == "hello\n");
              CHECK(file.Wait(kReadable).value() == kReadable);
              CHECK(ReadText(file, 2) == "ne");
              CHECK(ReadText(file) == "xt\n");
            })});
}

TEST_CASE("console: what programs write stands above the line") {
  RunWorld({Console(), Sitting([&](ipc::Process& self, Person& person) {
              const File file = Open(self);
              person.Type("typing");
              CHECK(person.Sees(self, "typing"));
              CHECK(file.Write(BytesOfText("news \x1b[2J\n")).value() == 10);
              CHECK(person.Sees(self, "news \\x1b[2J\r\n\rtyping"));
            })});
}

TEST_CASE("console: ^D on an empty line is the end for all who wait, once") {
  Shared<int> ended, done;
  const auto reader = [&](const char* name) {
    return Client(
        [&](ipc::Process& self) {
          const File file = Open(self);
          CHECK(ReadText(file).empty());
          ++ended;
          CHECK(Eventually(self, [&] { return ended == 3; }));
          CHECK(ReadText(file) == "more\n");
          ++done;
        },
        name);
  };
  RunWorld({Console(), reader("first"), reader("second"),
            Sitting([&](ipc::Process& self, Person& person) {
              const File file = Open(self);
              LetBlock(self);
              LetBlock(self);
              person.Type("\x04");
              CHECK(Eventually(self, [&] { return ended == 2; }));
              ended = 3;
              person.Type("more\rmore\r");
              CHECK(Eventually(self, [&] { return done == 2; }));
              // Without anybody who waits it is for who reads next.
              person.Type("\x04");
              CHECK(file.Wait(kReadable).ok());
            })});
}

TEST_CASE("console: an end that nobody waits for is kept for the next who reads") {
  RunWorld({Console(), Sitting([&](ipc::Process& self, Person& person) {
              const File file = Open(self);
              person.Type("\x04line\r");
              CHECK(file.Wait(kReadable).ok());
              CHECK(ReadText(file).empty());
              CHECK(ReadText(file) == "line\n");
            })});
}

TEST_CASE("console: the most urgent reader gets the first line") {
  Shared<int> waiting;
  tests::SharedText order;
  const auto reader = [&](const char* name, int priority) {
    tests::Actor actor = Client(
        [&order, &waiting, name](ipc::Process& self) {
          const File file = Open(self);
          ++waiting;
          const std::string line = ReadText(file);
          order.Add(name[0]);
          order.Add(line[0]);
        },
        name);
    actor.scheduling.priority = priority;
    return actor;
  };
  RunWorld({Console(), reader("low", 10), reader("high", 30),
            Sitting([&](ipc::Process& self, Person& person) {
              const File file = Open(self, O_WRONLY);
              CHECK(Eventually(self, [&] { return waiting == 2; }));
              LetBlock(self);
              person.Type("1\r");
              CHECK(Eventually(self, [&] { return order.text().size() == 2; }));
              person.Type("2\r");
              CHECK(Eventually(self, [&] { return order.text().size() == 4; }));
            })});
  CHECK(order.text() == "h1l2");
}

TEST_CASE("console: a terminal that takes nothing makes writers wait, and nobody else") {
  RunWorld({Console(), Sitting([&](ipc::Process& self, Person& person) {
              const File file = Open(self, O_RDWR | O_NONBLOCK);
              const std::string much(8000, 'm');
              uint64_t written = 0;
              for (;;) {
                const auto count = file.Write(BytesOfText(much));
                if (!count.ok()) {
                  CHECK(ErrnoOf(count) == EAGAIN);
                  break;
                }
                written += *count;
              }
              CHECK(written >= console::Terminal::kMaxWaitingBytes);
              CHECK(written < 4 * console::Terminal::kMaxWaitingBytes);
              CHECK(file.Poll(kWritable).value() == 0);
              CHECK(file.Stat().ok());  // it serves on
              const File patient = Open(self, O_WRONLY);
              CHECK(ErrnoOf(patient.Write(BytesOfText("x"), tests::conformance::Margin())) ==
                    ETIMEDOUT);
              // Once the person looks there is room again, and typing is heard.
              CHECK(person.Sees(self, much));
              CHECK(Eventually(self, [&] {
                person.Sees(self, "m");
                return file.Poll(kWritable).value() == kWritable;
              }));
              CHECK(file.Write(BytesOfText("\nthe end\n")).value() == 9);
              CHECK(person.Sees(self, "the end"));
              person.Type("heard\r");
              CHECK(ReadText(Open(self)) == "heard\n");
            })});
}

TEST_CASE("console: lines that nobody reads are kept up to a bound, then Enter rings") {
  RunWorld({Console(), Sitting([&](ipc::Process& self, Person& person) {
              const File file = Open(self, O_RDWR | O_NONBLOCK);
              for (size_t i = 0; i < console::kMaxFinishedLines; ++i) person.Type("x\r");
              person.Type("last\r");
              CHECK(person.Sees(self, "\a"));
              for (size_t i = 0; i < console::kMaxFinishedLines; ++i) {
                CHECK(ReadText(file) == "x\n");
              }
              char byte = 0;
              CHECK(ErrnoOf(file.Read(ipc::MutableBytesOf(byte))) == EAGAIN);
              person.Type("\r");
              CHECK(ReadText(Open(self)) == "last\n");
            })});
}

TEST_CASE("console: who cannot have the terminal says so") {
  RunWorld({Ending(console::Main, 1, {"--tty=/no/such/terminal"})});
  RunWorld({Ending(console::Main, 1, {"--tty=/dev/null"})});
  RunWorld({Ending(console::Main, 2, {"--tty="})});
  RunWorld({Ending(console::Main, 2, {"loud"})});
}

}  // namespace
