// What a worker of an executor runs. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_WORKER_MAIN_H_
#define BROOD_LAUNCHER_EXECUTOR_WORKER_MAIN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace brood::internal {

// A target. Runs the initialiser (none if its name is empty), then answers requests until the executor closes `stream`.
// What the functions of a chunk throw becomes their result; Exit ends the worker. A result that takes more than
// `max_result_bytes` is an error of its call.
void RunPoolWorker(const UniqueFd& stream, const UniqueFd& journal, std::string_view initializer,
                   std::string_view signature, std::string_view arguments, std::vector<UniqueFd> handles,
                   uint64_t max_result_bytes);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_WORKER_MAIN_H_
