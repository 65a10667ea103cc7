// Numbers for what the broker makes: 1 and up, and after the last from 1 again, but for those still
// in use. So none comes again before 2^32 others, when nobody speaks of the old one any more.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_NUMBERS_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_NUMBERS_H_

#include <cstdint>

namespace parley::host {

class Numbers {
 public:
  // `last`: the last one that counts as used; `again`: those that follow may have been, too.
  explicit Numbers(uint32_t last = 0, bool again = false) : last_(last), again_(again) {}

  // REQUIRES: in_use(number) is false for some number but 0: what is numbered has a quota.
  template <typename InUse>
  uint32_t Next(InUse in_use) {
    do {
      if (++last_ == 0) {
        again_ = true;
        ++last_;
      }
    } while (again_ && in_use(last_));
    return last_;
  }
  // Whether it has been given away, though what it named may be gone.
  bool WasUsed(uint32_t number) const { return number != 0 && (again_ || number <= last_); }

 private:
  uint32_t last_;
  bool again_;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_NUMBERS_H_
