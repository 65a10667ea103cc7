// A pipe for tests of what waits for descriptors.
#ifndef PARLEY_TESTS_SUPPORT_PIPE_H_
#define PARLEY_TESTS_SUPPORT_PIPE_H_

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace tests {

// A pipe with nothing in it, neither end of which blocks.
class Pipe {
 public:
  Pipe() { REQUIRE(pipe2(ends_.data(), O_NONBLOCK | O_CLOEXEC) == 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    CloseReader();
    CloseWriter();
  }
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void Put() const { CHECK(write(writer(), "x", 1) == 1); }
  void Take() const {
    char taken = 0;
    CHECK(read(reader(), &taken, 1) == 1);
  }
  void Fill() const {
    const std::array<char, 4096> much = {};
    while (write(writer(), much.data(), much.size()) > 0) continue;
  }
  void Empty() const {
    std::array<char, 4096> much = {};
    while (read(reader(), much.data(), much.size()) > 0) continue;
  }
  void CloseReader() { Close(ends_[0]); }
  void CloseWriter() { Close(ends_[1]); }

 private:
  static void Close(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
  std::array<int, 2> ends_ = {-1, -1};
};

}  // namespace tests

#endif  // PARLEY_TESTS_SUPPORT_PIPE_H_
