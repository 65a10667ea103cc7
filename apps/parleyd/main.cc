// parleyd: the long-lived broker and its name server, for `parley run --broker=service`.
//
// This process is their launcher: it ends with either of them, and they with it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "apps/parley/arguments.h"
#include "apps/parley/standard_output.h"
#include "ipc/world.h"
#include "libipc/machine.h"
#include "libipc/system.h"

namespace {

constexpr char kHelp[] =
    "usage: parleyd [--foreground] [--socket=PATH]\n\n"
    "Serves `parley run --broker=service` until SIGTERM or SIGINT. Without --foreground it goes "
    "to\n"
    "the background once it serves.\n\n"
    "  --socket=PATH  where it listens (default: /run/parley/broker for root, which all users\n"
    "                 may join; else $XDG_RUNTIME_DIR/parley/broker)\n";
constexpr int kReadyCheckMs = 10;

int Fail(const std::string& line, int status = 1) {
  std::fprintf(stderr, "parleyd: %s\n", line.c_str());
  return status;
}

int Serve(const std::string& path) {
  parley::HostOptions options;
  options.serve_at = path;
  auto machine = ipc::MakeMachine(options, {{"nameserver", ipc::RunNameServer}});
  if (!machine.ok()) return Fail(std::string(machine.status().message()));
  parley::InitialProcess names;
  names.program = "nameserver";
  names.options.scheduling.priority = parley::kMaxPriority;
  names.name_server = names.service = true;
  if (absl::Status added = (*machine)->Add(names); !added.ok()) {
    return Fail(std::string(added.message()));
  }
  const parley::RunReport report = (*machine)->Run();
  for (const std::string& problem : report.problems) Fail(problem);
  return report.problems.empty() ? 0 : 1;
}

// Becomes the service, in a session of its own. What it says goes to `errors`, for as long as
// somebody reads there.
int ServeInBackground(const std::string& path, int errors) {
  signal(SIGPIPE, SIG_IGN);
  const int nothing = open("/dev/null", O_RDWR);
  dup2(nothing, STDIN_FILENO);
  dup2(nothing, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0u, 0);  // what the caller has open is not the service's
  if (setsid() < 0 || chdir("/") != 0) return Fail(strerror(errno));
  return Serve(path);
}

// Until the service serves, or has ended: what it says is said here.
int WaitUntilReady(const std::string& path, pid_t service, int errors) {
  pollfd said = {errors, POLLIN, 0};
  for (;;) {
    std::array<char, 512> text;
    if (poll(&said, 1, kReadyCheckMs) > 0) {
      const ssize_t size = read(errors, text.data(), text.size());
      if (size > 0) {
        std::fwrite(text.data(), 1, static_cast<size_t>(size), stderr);
        continue;
      }
      int status = 0;
      waitpid(service, &status, 0);
      return WIFEXITED(status) ? WEXITSTATUS(status) : Fail("the service was killed");
    }
    if (parley::ServedBy(path) == service) return 0;
  }
}

int Daemonize(const std::string& path) {
  std::array<int, 2> errors;
  if (pipe2(errors.data(), O_CLOEXEC) != 0) return Fail(strerror(errno));
  const pid_t service = fork();
  if (service < 0) return Fail(strerror(errno));
  if (service == 0) {
    close(errors[0]);
    return ServeInBackground(path, errors[1]);
  }
  close(errors[1]);
  return WaitUntilReady(path, service, errors[0]);
}

int Main(const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0] == "--help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  auto arguments = parley_tool::Arguments::Parse(words, {"--foreground", "--socket="});
  if (!arguments.ok()) return Fail(std::string(arguments.status().message()) + "; see --help", 2);
  std::string path = arguments->Get("--socket");
  if (arguments->Has("--socket") && (path.empty() || path[0] != '/')) {
    return Fail("--socket=" + path + ": expected an absolute path; see --help", 2);
  }
  if (path.empty()) {
    auto own = parley::OwnServicePath();
    if (!own.ok()) return Fail(std::string(own.status().message()) + ": --socket=PATH");
    path = *own;
  }
  return arguments->Has("--foreground") ? Serve(path) : Daemonize(path);
}

}  // namespace

int main(int argc, char** argv) {
  parley_tool::HoldStandardDescriptors();
  return parley_tool::Written(Main(std::vector<std::string>(argv + 1, argv + argc)));
}
