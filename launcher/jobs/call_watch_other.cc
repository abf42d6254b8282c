#include "launcher/jobs/call_watch.h"

namespace brood::internal {

void CallWatch::Start() {}
void CallWatch::Renew() {}
void CallWatch::Begin() {}
bool CallWatch::End() { return true; }
void CallWatch::Note() {}

}  // namespace brood::internal
