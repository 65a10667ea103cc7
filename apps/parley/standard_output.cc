// See standard_output.h.
#include "apps/parley/standard_output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>

namespace parley_tool {

void HoldStandardDescriptors() {
  for (int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(number, F_GETFD) >= 0) continue;
    // The lowest that is free, so this one; without /dev nothing is held.
    open(number == STDOUT_FILENO ? "/dev/full" : "/dev/null", O_RDWR);
  }
}

bool NobodyReads() {
  pollfd output = {STDOUT_FILENO, 0, 0};
  return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

int Written(int status) {
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (written || status != 0 || NobodyReads()) return status;
  std::fprintf(stderr, "standard output: cannot be written\n");
  return 1;
}

}  // namespace parley_tool
