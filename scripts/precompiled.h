// What nearly every source file includes, compiled once for each set of flags: these headers are
// half of the build's time. A source still names what it uses; installed headers compile alone.
#ifndef PARLEY_SCRIPTS_PRECOMPILED_H_
#define PARLEY_SCRIPTS_PRECOMPILED_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#endif  // PARLEY_SCRIPTS_PRECOMPILED_H_
