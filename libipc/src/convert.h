// Values of the public headers as the kernel calls have them, and back.
#ifndef PARLEY_LIBIPC_SRC_CONVERT_H_
#define PARLEY_LIBIPC_SRC_CONVERT_H_

#include "ipc/process.h"
#include "kernel-sim/kernel.h"

namespace ipc {

inline parley::Token ToKernel(const Token& token) { return {token.high, token.low}; }
inline Token FromKernel(const parley::Token& token) { return {token.high, token.low}; }
inline parley::ProcessId ToKernel(ProcessRef process) { return parley::ProcessId{process.id()}; }

inline int64_t Resolve(parley::Kernel& kernel, const Deadline& deadline) {
  return deadline.Resolve([&] { return kernel.Now(); });
}

inline parley::Scheduling ToKernel(const Scheduling& scheduling) {
  parley::Scheduling result;
  result.policy = static_cast<parley::Policy>(scheduling.policy);
  result.priority = scheduling.priority;
  result.slice_ns = absl::ToInt64Nanoseconds(scheduling.slice);
  result.budget_ns = absl::ToInt64Nanoseconds(scheduling.budget);
  result.period_ns = absl::ToInt64Nanoseconds(scheduling.period);
  result.low_priority = scheduling.low_priority;
  result.max_replenishments = scheduling.max_replenishments;
  return result;
}

inline parley::ProcessOptions ToKernel(const ChildOptions& options) {
  parley::ProcessOptions result;
  result.name = options.name;
  result.arguments = options.arguments;
  result.scheduling = ToKernel(options.scheduling);
  result.ceiling = options.ceiling;
  result.uid = options.uid;
  result.gid = options.gid;
  result.region_quota_bytes = options.region_quota_bytes;
  return result;
}

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_CONVERT_H_
