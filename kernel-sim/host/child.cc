// What a forked child sheds, and the sockets that processes and brokers meet at.
#include "kernel-sim/host/child.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "kernel-sim/host/linux_priority.h"

namespace parley::host {
namespace {

// 0 with errno: too long.
socklen_t NameOf(const std::string& address, sockaddr_un& name) {
  name = {};
  name.sun_family = AF_UNIX;
  if (address.empty() || address.size() + 1 > sizeof(name.sun_path)) {
    errno = ENAMETOOLONG;
    return 0;
  }
  // A path ends with a zero byte; an abstract address begins with one.
  const size_t begin = address[0] == '/' ? 0 : 1;
  std::memcpy(name.sun_path + begin, address.data(), address.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + address.size());
}

}  // namespace

UniqueFd Listen(const std::string& address) {
  UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un name;
  const socklen_t size = NameOf(address, name);
  if (size == 0 || bind(listener.get(), reinterpret_cast<sockaddr*>(&name), size) != 0 ||
      listen(listener.get(), SOMAXCONN) != 0) {
    return UniqueFd();
  }
  return listener;
}

UniqueFd ConnectTo(const std::string& address) {
  UniqueFd connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un name;
  const socklen_t size = NameOf(address, name);
  if (size == 0 || connect(connection.get(), reinterpret_cast<sockaddr*>(&name), size) != 0) {
    return UniqueFd();
  }
  return connection;
}

UniqueFd OpenPidfd(int pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

bool BecomeChild(const ChildOptions& options, int launcher_pid) {
  close_range(STDERR_FILENO + 1, ~0u, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // What the launcher does at its own end is not for its children to do.
  for (int fatal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTERM}) signal(fatal, SIG_DFL);
  signal(SIGINT, SIG_IGN);  // a terminal's is for the launcher
  signal(SIGPIPE, SIG_IGN);
  if (options.cpus > 0) {
    cpu_set_t all, some;
    CPU_ZERO(&some);
    sched_getaffinity(0, sizeof(all), &all);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&some) < options.cpus; ++cpu) {
      if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &some);
    }
    sched_setaffinity(0, sizeof(some), &some);
  }
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  // Other users' processes have no other right to it.
  const rlimit real_time = {kAgentLinuxPriority, kAgentLinuxPriority};
  setrlimit(RLIMIT_RTPRIO, &real_time);
  if (options.uid != geteuid() || options.gid != getegid()) {
    if (setgroups(0, nullptr) != 0 || setresgid(options.gid, options.gid, options.gid) != 0 ||
        setresuid(options.uid, options.uid, options.uid) != 0) {
      return false;
    }
    prctl(PR_SET_DUMPABLE, 1);  // large messages are copied by Linux only from those
  }
  // After the user: a change of it takes this back.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launcher_pid) _exit(1);
  return true;
}

}  // namespace parley::host
