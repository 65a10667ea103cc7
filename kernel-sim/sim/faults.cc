// Injected faults (boot.h): processes killed, grants revoked, quotas used up, servers slow.
#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/simulation.h"

namespace parley::sim {
namespace {
constexpr uint32_t kChosenKillOdds =
    64;  // a kill "somewhere" comes about once in so many kernel calls
}

void Simulation::AssignFaults(Process& process) {
  for (const Fault& fault : options_.faults) {
    if (fault.process != process.birth.name) continue;
    if (fault.kind == Fault::Kind::kSlow) {
      process.slow_factor = fault.factor;
    } else if (fault.at_ns < 0) {
      process.faults.push_back(&fault);
    }
  }
}

void Simulation::ArmFaults() {
  for (const Fault& fault : options_.faults) {
    if (fault.at_ns < 0 || fault.kind == Fault::Kind::kSlow) continue;
    start_timers_.push_back(
        std::make_unique<Timer>(Timer::Purpose::kFault, const_cast<Fault*>(&fault)));
    scheduler_.timers().Arm(*start_timers_.back(), fault.at_ns);
  }
}

void Simulation::OnFaultTimer(const Fault& fault) {
  for (size_t i = 0; i < processes_.size(); ++i) {
    if (!processes_[i]->ended && processes_[i]->birth.name == fault.process) {
      Inject(fault, *processes_[i]);
    }
  }
}

// At every kernel call of a process that has faults to come.
void Simulation::ApplyFaults(Process& process) {
  const int64_t call = process.calls++;
  for (size_t i = 0; i < process.faults.size() && !process.ended; ++i) {
    const Fault& fault = *process.faults[i];
    if (fault.kind == Fault::Kind::kPulseQuota) continue;
    const bool now =
        fault.at_call >= 0 ? fault.at_call == call : chooser_.ChooseFault(kChosenKillOdds);
    if (now) Inject(fault, process);
  }
}

void Simulation::Inject(const Fault& fault, Process& process) {
  switch (fault.kind) {
    case Fault::Kind::kKill:
      TellFault(process, "killed by an injected fault");
      return EndProcess(process, {ExitKind::kKilled, 128, "killed by an injected fault"});
    case Fault::Kind::kRevoke:
      TellFault(process, "its capabilities were revoked by an injected fault");
      return EndCapabilities(capabilities_.KillGrantsTo(process.id));
    case Fault::Kind::kPulseQuota:
      process.faults.push_back(&fault);
      return;
    case Fault::Kind::kSlow:
      return;
  }
}

bool Simulation::PulseQuotaFault(const Process& process) const {
  for (const Fault* fault : process.faults) {
    if (fault->kind == Fault::Kind::kPulseQuota) return true;
  }
  return false;
}

}  // namespace parley::sim
