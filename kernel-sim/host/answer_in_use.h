// The broker has answered with something that the process does not hold yet: until it does, its
// agent could not claim it from the next broker (rejoin.cc), so it does not rejoin meanwhile.
#ifndef PARLEY_KERNEL_SIM_HOST_ANSWER_IN_USE_H_
#define PARLEY_KERNEL_SIM_HOST_ANSWER_IN_USE_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "kernel-sim/host/packet.h"

namespace parley::host {

class AnswerInUse {
 public:
  // Whether such an answer counts; the agent adds 1 before it hands one to its caller.
  static bool Counts(Kind answer) {
    return answer == Kind::kMadeChannel || answer == Kind::kRegion || answer == Kind::kOpenedEvent;
  }
  // By the caller. At its end what was answered is held, or given up.
  AnswerInUse(std::atomic<uint32_t>& count, const absl::StatusOr<Packet>& answer)
      : count_(answer.ok() ? &count : nullptr) {}
  AnswerInUse(const AnswerInUse&) = delete;
  AnswerInUse& operator=(const AnswerInUse&) = delete;
  ~AnswerInUse() {
    if (count_ != nullptr) count_->fetch_sub(1);
  }

 private:
  std::atomic<uint32_t>* const count_;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_ANSWER_IN_USE_H_
