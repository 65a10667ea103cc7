// What `parley doctor` asks Linux.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "apps/parley/doctor.h"

namespace parley_tool {
namespace {

uint64_t Limit(__rlimit_resource_t resource) {
  rlimit limit = {};
  getrlimit(resource, &limit);
  return limit.rlim_cur;
}

int64_t Setting(const char* path, int64_t without) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : without;
}

// Of this process, as it stands.
uint64_t Capabilities() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    uint64_t bits = 0;
    if (line.substr(0, 8) == "CapEff:\t" && absl::SimpleHexAtoi(line.substr(8), &bits)) return bits;
  }
  return 0;
}

int OpenErrno(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

int IoUringErrno() {
  io_uring_params parameters = {};
  const long fd = syscall(SYS_io_uring_setup, 1, &parameters);
  if (fd < 0) return errno;
  close(static_cast<int>(fd));
  return 0;
}

// In a child: nothing of this process is to change.
int RealTimeErrno() {
  const pid_t child = fork();
  if (child == 0) {
    const sched_param lowest = {1};
    _exit(sched_setscheduler(0, SCHED_FIFO, &lowest) == 0 ? 0 : errno);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return EAGAIN;
  return WEXITSTATUS(status);
}

std::string UserName() {
  const passwd* entry = getpwuid(geteuid());
  return entry == nullptr ? absl::StrCat(geteuid()) : entry->pw_name;
}

}  // namespace

MachineFacts ReadFacts() {
  const uint64_t capabilities = Capabilities();
  MachineFacts facts;
  facts.uid = geteuid();
  facts.user = UserName();
  facts.rtprio_limit = Limit(RLIMIT_RTPRIO);
  facts.may_nice = (capabilities >> CAP_SYS_NICE & 1) != 0;
  facts.may_trace = (capabilities >> CAP_SYS_PTRACE & 1) != 0;
  facts.real_time_errno = RealTimeErrno();
  facts.rt_runtime_us = Setting("/proc/sys/kernel/sched_rt_runtime_us", -1);
  facts.ptrace_scope = Setting("/proc/sys/kernel/yama/ptrace_scope", 0);
  facts.memlock_bytes = Limit(RLIMIT_MEMLOCK);
  facts.dma_latency_errno = OpenErrno("/dev/cpu_dma_latency", O_WRONLY);
  facts.io_uring_errno = IoUringErrno();
  facts.io_uring_disabled = Setting("/proc/sys/kernel/io_uring_disabled", 0);
  cpu_set_t cpus;
  facts.cpus = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  return facts;
}

}  // namespace parley_tool
