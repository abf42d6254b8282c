#include "launcher/server_list.h"

#include <algorithm>

#include "forkserver/client.h"

namespace brood {

std::vector<ServerState> ListServers() {
  std::vector<ServerState> states;
  for (const auto& server : internal::AllForkServers()) states.push_back(server->State());
  std::stable_sort(states.begin(), states.end(), [](const ServerState& a, const ServerState& b) { return a.address < b.address; });
  return states;
}

}  // namespace brood
