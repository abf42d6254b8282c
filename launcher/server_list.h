// The forkservers of this process, and their templates.
#ifndef BROOD_LAUNCHER_SERVER_LIST_H_
#define BROOD_LAUNCHER_SERVER_LIST_H_

#include <vector>

#include "forkserver/server_state.h"

namespace brood {

// Those of its Contexts and Servers, by address. Two may have the same: other options, or another user at their start.
// Thread-safe.
std::vector<ServerState> ListServers();

}  // namespace brood

#endif  // BROOD_LAUNCHER_SERVER_LIST_H_
