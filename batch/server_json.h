// What the start of a forkserver took, as JSON: the field `server` of `brood call --result` (docs/results.md).
#ifndef BROOD_BATCH_SERVER_JSON_H_
#define BROOD_BATCH_SERVER_JSON_H_

#include <string>

#include "forkserver/server_report.h"

namespace brood {

// {"ready_s":1.2,"preloads":[{"name":"libmodel.so:Load","time_s":1.1,"memory_bytes":838860800}],"frozen":"not asked for"}
std::string ServerJson(const ServerReport& report);

}  // namespace brood

#endif  // BROOD_BATCH_SERVER_JSON_H_
