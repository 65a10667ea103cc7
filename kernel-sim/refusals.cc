// Arguments that no kernel takes.
#include "kernel-sim/refusals.h"

#include "absl/strings/str_cat.h"

namespace parley {

absl::Status CheckScheduling(const Scheduling& scheduling, int ceiling) {
  if (scheduling.priority < kMinPriority || scheduling.priority > kMaxPriority) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("priority ", scheduling.priority, " is not 1 to 255"));
  }
  if (scheduling.priority > ceiling) {
    return MakeError(Error::kNotPermitted,
                     absl::StrCat("priority ", scheduling.priority,
                                  " is above the process's ceiling of ", ceiling));
  }
  if (scheduling.policy == Policy::kRoundRobin && scheduling.slice_ns <= 0) {
    return MakeError(Error::kInvalidArgument, "a slice must be longer than 0");
  }
  if (scheduling.policy != Policy::kSporadic) return absl::OkStatus();
  if (scheduling.budget_ns <= 0 || scheduling.period_ns < scheduling.budget_ns) {
    return MakeError(Error::kInvalidArgument,
                     "a sporadic budget must be above 0 and at most its period");
  }
  if (scheduling.low_priority < kMinPriority || scheduling.low_priority > scheduling.priority) {
    return MakeError(Error::kInvalidArgument, "a low priority must be 1 to the priority");
  }
  if (scheduling.max_replenishments < 1 || scheduling.max_replenishments > kMaxReplenishments) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("pending replenishments must be 1 to ", kMaxReplenishments));
  }
  return absl::OkStatus();
}

absl::Status CheckProcess(const ProcessOptions& options, int highest_ceiling, uint32_t maker_uid,
                          uint32_t maker_gid) {
  if (options.ceiling < kMinPriority || options.ceiling > highest_ceiling) {
    return MakeError(
        Error::kNotPermitted,
        absl::StrCat("ceiling ", options.ceiling, " is not 1 to the maker's of ", highest_ceiling));
  }
  if (absl::Status valid = CheckScheduling(options.scheduling, options.ceiling); !valid.ok()) {
    return valid;
  }
  if (maker_uid != 0 && (options.uid.value_or(maker_uid) != maker_uid ||
                         options.gid.value_or(maker_gid) != maker_gid)) {
    return MakeError(Error::kNotPermitted, "only uid 0 starts processes as somebody else");
  }
  return absl::OkStatus();
}

absl::Status CheckPulse(const PulseSpec& pulse, int ceiling) {
  if (pulse.code > kMaxProgramPulseCode) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("pulse code ", pulse.code, " is the kernel's; 0 to ",
                                  kMaxProgramPulseCode, " are free"));
  }
  if (pulse.priority < kMinPriority || pulse.priority > kMaxPriority) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("pulse priority ", pulse.priority, " is not 1 to 255"));
  }
  if (pulse.priority > ceiling) {
    return MakeError(Error::kNotPermitted, absl::StrCat("pulse priority ", pulse.priority,
                                                        " is above the ceiling of ", ceiling));
  }
  return absl::OkStatus();
}

absl::Status CheckParts(size_t parts, uint64_t bytes) {
  if (parts <= kMaxParts && bytes <= kMaxMessageBytes) return absl::OkStatus();
  return MakeError(
      Error::kInvalidArgument,
      absl::StrCat("a message is at most 1 GiB each way, in at most ", kMaxParts, " parts"));
}

}  // namespace parley
