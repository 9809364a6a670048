"""How it is measured: encode once, rank once, measures, bias, evidence. Imports `tasks`, never `leaderboard`."""
