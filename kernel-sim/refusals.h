// What every kernel refuses alike, with the same words: arguments out of range (L5, P6, S3, U1).
#ifndef PARLEY_KERNEL_SIM_REFUSALS_H_
#define PARLEY_KERNEL_SIM_REFUSALS_H_

#include "kernel-sim/kernel.h"

namespace parley {

// The error with its default sentence.
inline absl::Status Refuse(Error error) { return MakeError(error, Describe(error)); }

// kInvalidArgument: out of range. kNotPermitted: above the ceiling (P6).
absl::Status CheckScheduling(const Scheduling& scheduling, int ceiling);
// kNotPermitted, kInvalidArgument: of a process whose maker has this ceiling, user and group.
absl::Status CheckProcess(const ProcessOptions& options, int highest_ceiling, uint32_t maker_uid,
                          uint32_t maker_gid);
// As CheckScheduling, for a pulse that a program sends or registers (U1).
absl::Status CheckPulse(const PulseSpec& pulse, int ceiling);
// kInvalidArgument: a message of more bytes or parts than may be (S3).
absl::Status CheckParts(size_t parts, uint64_t bytes);

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_REFUSALS_H_
