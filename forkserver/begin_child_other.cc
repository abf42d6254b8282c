#include "forkserver/keeper_child.h"

extern "C" int brood_begin_child(void* order) { return brood::child::BeginChild(order); }
