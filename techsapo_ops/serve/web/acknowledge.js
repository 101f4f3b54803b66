// The page by which an alert is acknowledged: its texts are there in both languages, the choice of one is the frame's.

import { setUp } from "/web/words.js";

setUp(() => {});
