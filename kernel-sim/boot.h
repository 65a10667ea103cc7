// How a kernel is started: a table of programs, the processes to begin with, a run, and its report.
//
// Used by libipc's World only (libipc/src/world.cc), which hands it on to main() functions and
// tests.
#ifndef PARLEY_KERNEL_SIM_BOOT_H_
#define PARLEY_KERNEL_SIM_BOOT_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel-sim/core/trace.h"
#include "kernel-sim/kernel.h"

namespace parley {

struct Program {
  std::string name;
  std::function<int(Kernel&)> main;
};

// A process that is there from the start.
struct InitialProcess {
  std::string program;
  ProcessOptions options;
  int64_t start_ns = 0;  // STOPPED until then
  bool name_server =
      false;  // at most one: its channel is the far end of every process's first connection
  bool service = false;  // the run ends when all processes that are not services have ended
  int64_t response_limit_ns =
      kNever;  // each send of this process should be answered within; later ones are counted
};

// An injected fault.
struct Fault {
  enum class Kind : uint8_t { kKill, kPulseQuota, kRevoke, kSlow };
  Kind kind = Kind::kKill;
  std::string process;   // by name
  int64_t at_call = -1;  // at this process's n-th kernel call (from 0), or
  int64_t at_ns =
      -1;  // at this time, or, with both negative,
           // at a kernel call of the choice source's own picking (kill), or always (the others)
  double factor = 1;  // kSlow: its CPU time is multiplied by this
};

// Where choices come from that the rules leave open. See docs/simulation.md.
struct ChoiceSpec {
  enum class Strategy : uint8_t { kFixed, kRandom, kPct, kExhaustive, kReplay };
  Strategy strategy = Strategy::kFixed;
  uint64_t seed = 1;
  int depth = 3;                    // kPct: priority change points + 1
  int64_t expected_choices = 1000;  // kPct: over how many choices the change points are spread
  std::vector<uint32_t>
      script;  // kReplay: the choices, 0 beyond its end; kExhaustive: the prefix to follow
};

struct SimulationOptions {
  int cpus = 1;
  uint64_t seed = 1;  // of tokens, and of random choices unless `choices` says otherwise
  ChoiceSpec choices;
  int64_t call_cost_ns = 200;        // virtual CPU time of a kernel call
  int64_t copy_cost_ns_per_kib = 0;  // virtual CPU time of copied message bytes
  double compute_jitter = 0;         // Compute(d) takes d * (1 to 1 + jitter), chosen
  size_t stack_bytes = 256 << 10;    // of each thread, plus a guard page
  int64_t limit_ns = kNever;         // the run is stopped at this virtual time
  std::vector<Fault> faults;
  TraceSink* trace = nullptr;
  bool hash_trace = false;  // fills RunReport::trace_hash, at the cost of making every event
};

struct HostOptions {
  int cpus = 0;               // CPUs that the processes may run on, 0: all there are
  int64_t limit_ns = kNever;  // the run is stopped after this time, and `notes` say who was left
  // Threads spin longer before they sleep, and idle CPUs are kept from deep sleep where that is
  // permitted: shortest answers, for the energy they cost.
  bool low_latency = false;
  // Where an existing broker listens, for the run to join: its owner's name server then takes the
  // place of the run's. Empty: a broker of the run's own.
  std::string join = {};
  // A path, for the run's broker to listen at for everybody (kernel-sim/service.h): the run lasts
  // until SIGTERM or SIGINT, which is its good end.
  std::string serve_at = {};
  // For tests: large messages go the way they go where Linux does not permit a process to copy from
  // and to another.
  bool copies_through_link = false;
  // Told the whole run once that is over, in order of time (docs/host.md, "Tracing").
  TraceSink* trace = nullptr;
};

struct ProcessReport {
  std::string name;
  ProcessId id = ProcessId::kNone;
  ExitStatus exit;
  bool running = false;  // at the run's end
  bool service = false;
  bool killed_from_outside = false;  // on the host: by a signal that no program asked Parley for
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
  uint64_t bytes_copied = 0;  // in messages it sent, both ways
  uint64_t bytes_leased = 0;  // by region references it sent
  int64_t response_limit_ns = kNever;
  uint64_t late_responses = 0;
  static constexpr int64_t kNotMeasured = -1;
  int64_t worst_response_ns = 0;  // on the host: of those with a limit, else kNotMeasured
  int64_t cpu_ns = 0;
  std::map<std::string, int64_t> counters;
};

// Response times of answered sends, by the priority that the sender had when it sent.
struct ResponseReport {
  uint64_t count = 0;
  int64_t total_ns = 0;
  int64_t worst_ns = 0;
  std::array<uint32_t, 64> histogram = {};  // bucket i counts times of bit width i (ns)
};

struct RunReport {
  // The problem of who has joined a run, not a service, that then ended: often no problem at all.
  static constexpr char kJoinedRunEnded[] = "the run has ended";

  // Of the host: times are real, and kernel calls, switches and response times by priority are not
  // counted.
  bool real_time = false;
  bool deadlock = false;
  bool misfit = false;     // a scripted choice was out of range: the script is another program's
  bool timed_out = false;  // limit_ns was reached
  std::vector<std::string>
      problems;  // one line each: deadlock and who waits on whom, faults, offences, crashes
  std::vector<std::string> notes;  // one line each: what is worth knowing, and is no problem
  int64_t end_ns = 0;
  uint64_t kernel_calls = 0;
  uint64_t context_switches = 0;
  uint64_t choices_made = 0;
  uint64_t trace_hash = 0;              // of every event, in order; equal for equal runs (--twice)
  std::vector<uint32_t> choices;        // what was chosen, for replay; trailing zeros cut
  std::vector<uint32_t> choice_widths;  // out of how many, for depth-first exploration
  std::vector<ProcessReport> processes;
  std::map<int, ResponseReport> responses;  // by priority
};

// A kernel and the processes on it. Use: construct, Add, Run once, read the report. All on
// one host thread; of a host's machine, the only one of its process, since it forks.
class Machine {
 public:
  virtual ~Machine() = default;
  // kNoSuchName: no such program; kNotPermitted, kInvalidArgument: its options.
  virtual absl::Status Add(const InitialProcess& process) = 0;
  // Runs until every process that is not a service has ended, or nothing can go on. Then ends the
  // services.
  virtual RunReport Run() = 0;
};

// kInvalidArgument: an option out of range. kQuotaExhausted: no memory for stacks.
absl::StatusOr<std::unique_ptr<Machine>> MakeSimulation(const SimulationOptions& options,
                                                        std::vector<Program> programs);

// Every process a real one, forked from this one; their broker another.
absl::StatusOr<std::unique_ptr<Machine>> MakeHost(const HostOptions& options,
                                                  std::vector<Program> programs);

// Nanoseconds for a switch from one fiber to another and back: the floor under every simulated
// round trip. For benchmarks.
double MeasureFiberSwitchNs();

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_BOOT_H_
