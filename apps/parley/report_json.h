// What a run came to, for programs: the figures of the summary as one JSON object.
#ifndef PARLEY_APPS_PARLEY_REPORT_JSON_H_
#define PARLEY_APPS_PARLEY_REPORT_JSON_H_

#include <string>

#include "apps/parley/manifest.h"

namespace parley_tool {

// Times in nanoseconds. `failed` is what the exit status says.
std::string ReportJson(const Manifest& manifest, const parley::RunReport& report);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_REPORT_JSON_H_
