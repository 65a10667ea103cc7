// Whether code ends its process by a failed PARLEY_CHECK, tried in a child process.
#ifndef PARLEY_TESTS_CORE_DEATH_H_
#define PARLEY_TESTS_CORE_DEATH_H_

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

namespace tests {

// What `code` wrote to stderr before it aborted; empty if it did not abort.
template <typename Code>
std::string LastWords(Code code) {
  int ends[2];
  if (pipe(ends) != 0) return "";
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // not the test runner's handler
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(ends[1], STDERR_FILENO);
    code();
    _exit(0);
  }
  close(ends[1]);
  std::string words;
  char buffer[256];
  for (ssize_t size; (size = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    words.append(buffer, static_cast<size_t>(size));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? words : "";
}

template <typename Code>
bool BreaksAnInvariant(Code code) {
  return LastWords(code).find("broken invariant") != std::string::npos;
}

}  // namespace tests

#endif  // PARLEY_TESTS_CORE_DEATH_H_
