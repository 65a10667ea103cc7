// A picture of a running system as `parley ps` prints it. Pure.
#ifndef PARLEY_APPS_PARLEY_SYSTEM_TEXT_H_
#define PARLEY_APPS_PARLEY_SYSTEM_TEXT_H_

#include <string>

#include "libipc/system.h"

namespace parley_tool {

// A line for each thread, then who waits for whom as a tree, then a line for each circle. `lines`:
// of threads and of the tree, at most so many each; how many more there are is said.
std::string SystemText(const parley::SeenSystem& system, size_t lines);
std::string SystemJson(const parley::SeenSystem& system);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_SYSTEM_TEXT_H_
