// Command-line arguments.
#include "apps/parley/arguments.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace parley_tool {

absl::StatusOr<Arguments> Arguments::Parse(const std::vector<std::string>& words,
                                           const std::vector<std::string>& flags,
                                           const std::vector<std::string>& positions) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!absl::StartsWith(words[i], "--")) {
      arguments.positions_.push_back(words[i]);
      continue;
    }
    const size_t equals = words[i].find('=');
    const std::string name = words[i].substr(0, equals);
    const bool with_value = std::count(flags.begin(), flags.end(), name + "=") > 0;
    if (!with_value && std::count(flags.begin(), flags.end(), words[i]) == 0) {
      return absl::InvalidArgumentError(absl::StrCat("unknown option ", words[i]));
    }
    if (!with_value) {
      arguments.flags_[name] = "";
    } else if (equals != std::string::npos) {
      arguments.flags_[name] = words[i].substr(equals + 1);
    } else if (i + 1 < words.size()) {
      arguments.flags_[name] = words[++i];
    } else {
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
    }
  }
  const size_t given = arguments.positions_.size();
  if (given < positions.size()) {
    return absl::InvalidArgumentError(absl::StrCat(positions[given], " is missing"));
  }
  if (given > positions.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument ", arguments.positions_[positions.size()]));
  }
  return arguments;
}

std::string Arguments::Get(const std::string& flag, const std::string& otherwise) const {
  auto found = flags_.find(flag);
  return found == flags_.end() ? otherwise : found->second;
}

absl::StatusOr<int64_t> Arguments::GetInteger(const std::string& flag, int64_t otherwise,
                                              int64_t low, int64_t high) const {
  if (!Has(flag)) return otherwise;
  int64_t value = 0;
  if (!absl::SimpleAtoi(Get(flag), &value) || value < low || value > high) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, "=", Get(flag), ": expected an integer from ", low, " to ", high));
  }
  return value;
}

}  // namespace parley_tool
