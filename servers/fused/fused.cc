// fused: mounts, serves until it is over, unmounts.
#include "servers/fused/fused.h"

#include <fuse3/fuse_log.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ipc/dispatcher.h"
#include "servers/fused/bridge.h"
#include "servers/fused/mount_point.h"

namespace fused {
namespace {

constexpr int kPriority = 10;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "fused: %s\n", std::string(status.message()).c_str());
  return 1;
}

struct Unmount {
  void operator()(fuse_session* session) const {
    fuse_session_unmount(session);
    fuse_session_destroy(session);
  }
};
using Session = std::unique_ptr<fuse_session, Unmount>;

// Linux checks permissions itself, by what it is told of a file's owner and mode, for each of the
// mount's users; the servers check them for this process.
absl::StatusOr<Session> Mount(const std::string& folder, bool shared, Bridge& bridge) {
  std::string options = absl::StrCat("fsname=parley,subtype=parley,default_permissions,max_read=",
                                     Workers::kDataBytes);
  // Its helper unmounts when this process has died, whatever of.
  if (HasFusermount()) absl::StrAppend(&options, ",auto_unmount");
  if (shared) absl::StrAppend(&options, ",allow_other");
  std::string name = "fused", dash_o = "-o";
  std::array<char*, 4> words = {name.data(), dash_o.data(), options.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, words.data());
  const fuse_lowlevel_ops operations = Bridge::Operations();
  // What libfuse would say is said here, in one line.
  fuse_set_log_func([](fuse_log_level, const char*, va_list) {});
  Session session(fuse_session_new(&arguments, &operations, sizeof(operations), &bridge));
  fuse_opt_free_args(&arguments);
  if (session == nullptr) return absl::InternalError("libfuse knows an option no more");
  if (fuse_session_mount(session.get(), folder.c_str()) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat(folder, ": Linux does not permit to mount there; be root, or own the folder"));
  }
  return session;
}

// SIGTERM, as a descriptor, for this thread and those that it starts.
int TakeTermination() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

// Until it is unmounted, or SIGTERM.
absl::Status Attend(const ipc::Channel& channel, int signals, Workers& workers, Bridge& bridge) {
  const ipc::Dispatcher dispatcher(channel);
  auto terminated = dispatcher.Watch(signals, ipc::Readiness::kReadable, kPriority);
  if (!terminated.ok()) return terminated.status();
  auto poked = dispatcher.Watch(workers.poke(), ipc::Readiness::kReadable, kPriority);
  if (!poked.ok()) return poked.status();
  while (!workers.ended()) {
    const auto overdue = workers.CancelOverdue();
    auto next = dispatcher.Wait(overdue ? ipc::Deadline(*overdue) : ipc::Deadline::Never());
    if (!next.ok() && ipc::ErrorOf(next.status()) == ipc::Error::kDeadline) continue;
    if (!next.ok()) return next.status();
    if (const ipc::Pulse* pulse = next->pulse()) bridge.OnReady(pulse->value);
    const ipc::Ready* ready = next->ready();
    if (ready != nullptr && ready->Is(*terminated)) return absl::OkStatus();
    eventfd_t pokes = 0;
    if (ready != nullptr && ready->Is(*poked)) eventfd_read(workers.poke(), &pokes);
  }
  return absl::OkStatus();
}

}  // namespace

int Main(ipc::Process& self) {
  const std::vector<std::string>& arguments = self.arguments();
  const bool shared = arguments.size() == 2 && arguments[1] == "--allow-other";
  if (arguments.empty() || arguments.size() > (shared ? 2 : 1)) {
    std::fprintf(stderr, "usage: fused DIR [--allow-other]\n");
    return 2;
  }
  if (self.has_virtual_time()) {
    return Fail(absl::FailedPreconditionError(
        "Linux asks in real time, which a simulated kernel has not; run it with --kernel=host"));
  }
  const common::Descriptor signals(TakeTermination());
  const auto folder = CheckMountPoint(arguments[0]);
  if (!folder.ok()) return Fail(folder.status());
  if (absl::Status may = CheckMayMount(shared); !may.ok()) return Fail(may);
  auto names = NameSpace::Make(self);
  if (!names.ok()) return Fail(names.status());
  const auto channel = self.CreateChannel("fused");
  if (!channel.ok()) return Fail(channel.status());
  Bridge bridge(self, **names, *channel, *folder);
  const auto session = Mount(*folder, shared, bridge);
  if (!session.ok()) return Fail(session.status());
  absl::Status ended;
  {
    Workers workers(self, session->get());
    bridge.Start(workers);
    if (absl::Status started = workers.Start(); !started.ok()) return Fail(started);
    std::printf("%s shows the name space; Ctrl-C or fusermount3 -u %s ends it\n", folder->c_str(),
                folder->c_str());
    std::fflush(stdout);
    ended = Attend(*channel, signals.number(), workers, bridge);
  }
  return ended.ok() ? 0 : Fail(ended);
}

}  // namespace fused
