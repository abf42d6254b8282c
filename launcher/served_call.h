// A call: a function that a keeper runs for a client who has leased it. One message there, one back.
//
// It has no control socket, no set-up socket and no sentinel of its own, so that it costs little more than the fork: what a
// launch has of these (launch_record.h), it has of the keeper's socket.
#ifndef BROOD_LAUNCHER_SERVED_CALL_H_
#define BROOD_LAUNCHER_SERVED_CALL_H_

#include <string>
#include <string_view>

#include "forkserver/request.h"
#include "serialization/messages.h"

namespace brood::internal {

std::string EncodeCall(const PreparationData& preparation, const ProcessData& process);

// Whether a request is one, by its identifier.
bool IsCall(std::string_view bytes);

// Of a target that does nothing, which it registers: for a process that is to run only that. See forkserver/warm.h.
std::string RehearseCall();

// In the child.
[[noreturn]] void RunCall(std::string_view bytes, const child::SlotBirth* slot);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SERVED_CALL_H_
