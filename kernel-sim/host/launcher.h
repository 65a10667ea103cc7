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
#include "kernel-sim/host/ledger.h"
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
    bool kill_asked = false;          // by a program, or the broker
    bool killed_by_a_signal = false;  // whoever sent it
    SharedMapping farewell, trace;
    std::optional<Launch> launch;  // the broker's word, for the next one
    std::string launch_tail;
  };

  // launcher_broker.cc
  bool Start();
  absl::Status MeetBroker();
  void WatchBroker(UniqueFd broker);
  absl::Status StartBroker();
  void StopBroker();
  absl::Status Introduce();
  absl::Status Tell(const Packet& packet);
  void ForgetOldExits();
  absl::StatusOr<Packet> Ask(const Packet& packet);
  absl::StatusOr<Packet> AskOnce(uint32_t number, const Packet& packet);
  absl::StatusOr<Packet> Hear(int64_t wait_ns);
  bool OnBroker();
  void TakeNotices();
  void OnPacket(const Packet& packet);
  void OnBrokerGone();
  absl::Status Revive();
  absl::Status ReplaceBroker();
  absl::Status MeetJoinedAgain();

  void NoteWhoIsLeft();  // launcher_left.cc

  // launcher.cc
  void HoldLatency();
  bool SpawnNext();
  void Serve(int64_t until_ns);
  int64_t NextTurn() const;
  int64_t AfterStart(int64_t ns) const;
  void OnLaunch(const Launch& launch, std::string_view tail);
  bool Fork(Child& child, const Launch& launch, const Program& program);
  bool CheckInterrupt();
  bool Reap(Child& child, int options = 0);
  void KillAll();
  bool MakeTraceArea(Child& child) const;
  void KeepTrace(Child& child);
  void TellTrace();
  void Fail(std::string problem);
  bool IsOver() const;
  const Program* FindProgram(std::string_view name) const;

  static constexpr uint64_t kBrokerKey = 0, kSignalKey = ~uint64_t{0};  // of its epoll

  const HostOptions options_;
  const std::vector<Program> programs_;
  const ProcessMain process_main_;
  std::vector<InitialProcess> initial_;

  std::optional<RunScope> scope_;  // while it runs
  std::string address_;            // of the broker's socket
  UniqueFd service_lock_;          // of a service, for as long as it has its path
  UniqueFd listener_;              // of its own broker's, whichever that is at the time
  ucred listener_is_ = {};
  UniqueFd broker_, broker_pidfd_, epoll_;
  LedgerKey key_ = {};
  uint32_t reign_ = 0;
  UniqueFd latency_;  // of HostOptions::low_latency
  pid_t broker_pid_ = -1;
  uint32_t last_call_ = 0;
  std::deque<Packet> notices_;  // that came while an answer was waited for
  std::map<ProcessId, Child> children_;
  size_t next_initial_ = 0;
  size_t foreground_ = 0;  // processes that run and are no services
  // Exits, by their calls. One that is confirmed stays for a while: its maker may not have been
  // told when the broker dies.
  struct Exit {
    Packet packet;
    int64_t confirmed_ns = 0;  // 0: it is not
  };
  std::map<uint32_t, Exit> exits_;
  size_t unconfirmed_ = 0;
  int64_t start_ns_ = 0;
  TraceMerge traced_;
  TickScale trace_scale_;
  bool failed_ = false, stopped_ = false, ending_ = false;
  RunReport report_;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_LAUNCHER_H_
