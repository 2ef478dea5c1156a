x = 'no end
