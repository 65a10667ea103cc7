// The tool as a process of a running system.
#ifndef PARLEY_APPS_PARLEY_VISIT_H_
#define PARLEY_APPS_PARLEY_VISIT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ipc/process.h"

namespace parley_tool {

// Joins the broker at this address with one process that runs `ask` and prints what it learns.
// Returns the exit status; 1, after one line, if it cannot join or has not ended in time.
int Visit(const std::string& broker, absl::Duration patience,
          const std::function<int(ipc::Process&)>& ask);

// Joins it with one process that stays until its program ends, or SIGINT or SIGTERM, or the run
// that it has joined: good ends, of which the last is said. Returns the exit status; 1, after one
// line, if it cannot join or was killed.
int Stay(const std::string& broker, const std::string& name,
         const std::vector<std::string>& arguments,
         const std::function<int(ipc::Process&)>& program);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_VISIT_H_
