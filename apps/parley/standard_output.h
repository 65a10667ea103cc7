// Standard output, which a command that prints must have been able to write.
#ifndef PARLEY_APPS_PARLEY_STANDARD_OUTPUT_H_
#define PARLEY_APPS_PARLEY_STANDARD_OUTPUT_H_

namespace parley_tool {

// For main, first: a standard descriptor that is closed would be given to the next file or socket,
// which then got what the command prints. Printing to one that was closed fails.
void HoldStandardDescriptors();

// Whether standard output is a pipe or terminal whose far end has gone.
bool NobodyReads();

// At the end of a process that prints: its exit status. One that has succeeded so far fails, with
// a line on stderr, if standard output could not be written; not if the reader wanted no more.
int Written(int status);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_STANDARD_OUTPUT_H_
