// The page of an alert: its texts are there in both languages, the choice of one is the frame's.

import { setUp } from "/web/words.js";

setUp(() => {});
