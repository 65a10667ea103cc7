// How a process has ended, for its maker and for the run's report.
#ifndef PARLEY_KERNEL_SIM_HOST_EXIT_REPORT_H_
#define PARLEY_KERNEL_SIM_HOST_EXIT_REPORT_H_

#include <signal.h>
#include <sys/resource.h>

#include "kernel-sim/boot.h"
#include "kernel-sim/host/farewell.h"

namespace parley::host {

// `linux_says` is what waitid has given; a process that returned may say more itself.
ExitStatus ReadExit(const siginfo_t& linux_says, const Farewell& farewell);
// The numbers of its report. `used`: what Linux has counted.
void ReadNumbers(const Farewell& farewell, const rusage& used, ProcessReport& report);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_EXIT_REPORT_H_
