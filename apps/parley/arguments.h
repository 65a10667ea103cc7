// Command-line arguments of a subcommand: positions and --flags, each known or an error.
#ifndef PARLEY_APPS_PARLEY_ARGUMENTS_H_
#define PARLEY_APPS_PARLEY_ARGUMENTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace parley_tool {

class Arguments {
 public:
  // `flags`: those that take a value end in '=', as "--seed="; both "--seed=3" and "--seed 3" are
  // understood. `positions`: what each of them is, for people. InvalidArgument: an unknown flag, a
  // missing value, a position that is missing or too many.
  static absl::StatusOr<Arguments> Parse(const std::vector<std::string>& words,
                                         const std::vector<std::string>& flags,
                                         const std::vector<std::string>& positions = {});

  const std::string& position(size_t index) const { return positions_[index]; }
  bool Has(const std::string& flag) const { return flags_.count(flag) > 0; }
  std::string Get(const std::string& flag, const std::string& otherwise = "") const;
  // InvalidArgument: no integer from `low` to `high`.
  absl::StatusOr<int64_t> GetInteger(const std::string& flag, int64_t otherwise, int64_t low,
                                     int64_t high) const;

 private:
  std::vector<std::string> positions_;
  std::map<std::string, std::string> flags_;
};

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_ARGUMENTS_H_
