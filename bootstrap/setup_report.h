// What a child's bootstrap and its parent have between them, as the system has it.
#ifndef BROOD_BOOTSTRAP_SETUP_REPORT_H_
#define BROOD_BOOTSTRAP_SETUP_REPORT_H_

#include "base/setup_message.h"
#include "serialization/messages.h"

namespace brood::internal {

// Writes the one message that is read, so that the target cannot speak for its set-up. True also for handle -1, where nobody
// wants to know; false if nobody is left to read it.
bool ReportSetup(int setup_handle, const SetupMessage& message);

// What ends with the parent, for ParentProcess(); -1 if there is none.
int ParentSentinel(const ProcessData& process);

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_SETUP_REPORT_H_
