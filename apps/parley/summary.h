// What a run came to, for people: problems first, then figures. docs/simulation.md explains each
// column.
#ifndef PARLEY_APPS_PARLEY_SUMMARY_H_
#define PARLEY_APPS_PARLEY_SUMMARY_H_

#include "apps/parley/manifest.h"

namespace parley_tool {

void PrintProblems(const Manifest& manifest, const parley::RunReport& report);
void PrintSummary(const Manifest& manifest, const parley::RunReport& report);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_SUMMARY_H_
