// The launcher: the process that has the programs, and forks each process of a run from itself.
//
// It has one thread, so a fork copies all there is. The broker, a process of its own, says when to
// fork; the launcher tells it how each process has ended. Children that outlive their launcher are
// killed by Linux.
#ifndef PARLEY_KERNEL_SIM_HOST_LAUNCHER_H_
#define PARLEY_KERNEL_SIM_HOST_LAUNCHER_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernel-sim/boot.h"
#include "kernel-sim/host/farewell.h"
#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/packet.h"
#include "kernel-sim/host/process_main.h"
#include "kernel-sim/host/run_scope.h"
#include "kernel-sim/host/trace_merge.h"

namespace parley::host {

class Launcher final : public Machine {
 public:
  Launcher(const HostOptions& options, std::vector<Program> programs, ProcessMain process_main);
  ~Launcher() override;

  absl::Status Add(const InitialProcess& process) override;
  RunReport Run() override;

 private:
  struct Child {
    ProcessReport report;
    const InitialProcess* initial = nullptr;  // null: some process's child
    pid_t pid = -1;
    UniqueFd pidfd;
    SharedMapping farewell, trace;
  };

  void HoldLatency();
  bool Start();
  absl::Status MeetBroker();
  absl::Status StartBroker(UniqueFd listener);
  bool SpawnNext();
  void Serve(int64_t until_ns);
  int64_t NextTurn() const;
  int64_t AfterStart(int64_t ns) const;
  absl::StatusOr<Packet> Ask(Packet packet);
  bool OnBroker();
  void OnPacket(const Packet& packet);
  void OnLaunch(const Launch& launch, const std::vector<std::string>& strings);
  bool Fork(Child& child, const Launch& launch, const Program& program);
  void OnBrokerGone();
  bool CheckInterrupt();
  bool Reap(Child& child, int options = 0);
  void KillAll();
  void StopBroker();
  bool MakeTraceArea(Child& child) const;
  void KeepTrace(Child& child);
  void TellTrace();
  void Fail(std::string problem);
  bool IsOver() const;
  const Program* FindProgram(std::string_view name) const;

  const HostOptions options_;
  const std::vector<Program> programs_;
  const ProcessMain process_main_;
  std::vector<InitialProcess> initial_;

  std::optional<RunScope> scope_;  // while it runs
  std::string address_;            // of the broker's socket
  UniqueFd service_lock_;          // of a service, for as long as it has its path
  UniqueFd broker_, broker_pidfd_, epoll_;
  UniqueFd latency_;  // of HostOptions::low_latency
  pid_t broker_pid_ = -1;
  uint32_t last_call_ = 0;
  std::deque<Packet> notices_;  // that came while an answer was waited for
  std::map<ProcessId, Child> children_;
  size_t next_initial_ = 0;
  size_t foreground_ = 0;  // processes that run and are no services
  size_t unanswered_ = 0;  // exits that the broker has not confirmed
  int64_t start_ns_ = 0;
  TraceMerge traced_;
  TickScale trace_scale_;
  bool failed_ = false, stopped_ = false, ending_ = false;
  RunReport report_;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_LAUNCHER_H_
