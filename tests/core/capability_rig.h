// A table of capabilities under random operations, beside a plain list that is searched from the
// start for each answer.
#ifndef PARLEY_TESTS_CORE_CAPABILITY_RIG_H_
#define PARLEY_TESTS_CORE_CAPABILITY_RIG_H_

#include <vector>

#include "kernel-sim/core/capability.h"
#include "kernel-sim/core/errors.h"
#include "tests/core/drive.h"

namespace tests {

class CapabilityRig {
 public:
  CapabilityRig(Size size, Choices&) : size_(size) {}
  void Step(Choices& choices);

 private:
  struct Known {
    parley::CapabilityId id;
    parley::CapabilityId parent;
    parley::ObjectRef object;
    parley::ProcessId holder;
    parley::Extent extent;
    parley::Token token;
    bool live = true;
  };

  void CreateRoot(Choices& choices);
  void Grant(Choices& choices);
  void LookUp(Choices& choices);
  void Kill(Choices& choices);

  parley::Error Expect(const Known& from, parley::ProcessId granter,
                       const parley::Extent& extent) const;
  const Known* Find(parley::CapabilityId id) const;
  bool IsUnder(const Known& known, parley::CapabilityId top) const;
  template <typename Doomed>
  void KillAll(const std::vector<parley::CapabilityId>& killed, Doomed doomed);
  parley::ProcessId DrawProcess(Choices& choices) const;
  parley::Extent DrawExtent(Choices& choices) const;
  void Compare() const;

  const Size size_;
  parley::CapabilityTable table_;
  std::vector<Known> known_;  // the dead too, up to a bound
  uint64_t tokens_ = 0;
};

}  // namespace tests

#endif  // PARLEY_TESTS_CORE_CAPABILITY_RIG_H_
