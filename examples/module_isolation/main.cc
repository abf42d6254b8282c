// What a child sees of a variable that its parent has set: the module-isolation example of the multiprocessing
// tutorials. The same program, once for each start method.
#include <iostream>
#include <string>

#include "launcher/context.h"

int flag = 0;

int ReadFlag() { return flag; }
BROOD_TARGET(ReadFlag);

void SetFlagToTwo() { flag = 2; }
BROOD_TARGET(SetFlagToTwo);

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);  // A spawned child ends in here: what follows runs in the parent only.
  flag = 1;

  const auto print = [](const char* how, const brood::Context& context) {
    const absl::StatusOr<int> seen = context.Call(ReadFlag);
    std::cout << how << ": " << (seen.ok() ? std::to_string(*seen) : seen.status().ToString()) << "\n";
  };
  print("spawn", brood::Context(brood::StartMethod::kSpawn));
  print("fork", brood::Context(brood::StartMethod::kFork));
  print("forkserver", brood::Context(brood::StartMethod::kForkServer));
  print("forkserver, preloaded", brood::Context(brood::StartMethod::kForkServer, {.preload = {"SetFlagToTwo"}}));
  std::cout << "parent: " << flag << "\n";
  return 0;
}
